/* Functions that take turns; see turns.h. */
#include "core/fairness/turns.h"

#include <assert.h>
#include <string.h>

#define TURN_NONE UINT64_MAX

void turns_init(struct turns *turns, int quantum, unsigned answers)
{
        turns->quantum = quantum;
        turns->answers = answers;
        turns->active_count = turns->owner_count = turns->heavy_count = 0;
        memset(turns->owners, 0, sizeof(turns->owners));
        turns->busy_count = 0;
        turns->ended_count = 0;
        turns->ended_turn = 0;
        list_init(&turns->active);
        list_init(&turns->waiting);
        for (size_t i = 0; i <= TURNS_NOBODY; i++) {
                struct turns_place *place = &turns->places[i];
                *place = (struct turns_place){.ended_turn = TURN_NONE};
                list_init(&place->waiting_link);
                list_init(&place->active_link);
                list_init(&place->parked);
        }
}

void turns_item_init(struct turns_item *item)
{
        list_init(&item->link);
        item->place = TURNS_NOBODY;
}

void turns_see(struct turns *turns, uint16_t place_number, uint16_t owner, uint64_t now_ns)
{
        struct turns_place *place = &turns->places[place_number];

        place->seen_ns = now_ns;
        if (!list_is_empty(&place->active_link))
                return;
        list_push_back(&turns->active, &place->active_link);
        turns->active_count++;
        place->owner = owner;
        place->is_heavy = false;
        place->parked_count = 0;
        if (turns->owners[owner].active_count++ == 0)
                turns->owner_count++;
}

static void place_rest(struct turns *turns, struct turns_place *place)
{
        list_remove(&place->active_link);
        turns->active_count--;
        turns->heavy_count -= place->is_heavy;
        if (--turns->owners[place->owner].active_count == 0)
                turns->owner_count--;
}

/* What its owner's functions have together; NULL while that is no less than what each has. */
static struct turns_share *place_common(struct turns *turns, const struct turns_place *place)
{
        return turns->owner_count > 1 && !list_is_empty(&place->active_link)
                       ? &turns->owners[place->owner].share
                       : NULL;
}

/* So many quanta are a share. */
static int turns_length(const struct turns *turns, const struct turns_place *place)
{
        size_t shares = turns->owner_count > 1 ? turns->owner_count : turns->active_count;
        int length = turns_are_short(turns) || list_is_empty(&place->active_link)
                             ? 1
                             : TURNS_LONG / ((int)shares * turns->quantum);

        return length > 0 ? length : 1;
}

/* A new turn brings a new share; what was not used is lost, what is owed is not. */
static void share_renew(const struct turns *turns, const struct turns_place *place,
                        struct turns_share *share, uint64_t turn)
{
        int length;

        if (share->turn == turn)
                return;
        length = turns_length(turns, place);
        share->turn = turn;
        share->left = length * turns->quantum + (share->left < 0 ? share->left : 0);
        share->answers_left = (unsigned)length * turns->answers;
}

/* Its own share of this turn; `ret_common` as place_common(). */
static struct turns_share *place_share(struct turns *turns, struct turns_place *place,
                                       uint64_t turn, struct turns_share **ret_common)
{
        *ret_common = place_common(turns, place);
        if (*ret_common)
                share_renew(turns, place, *ret_common, turn);
        share_renew(turns, place, &place->share, turn);
        return &place->share;
}

/* True: one unit of it is begun. */
static bool place_begin(struct turns *turns, struct turns_place *place, uint64_t turn)
{
        struct turns_share *common, *share = place_share(turns, place, turn, &common);

        if (share->left <= 0 || (common && common->left <= 0))
                return false;
        share->left--;
        if (common)
                common->left--;
        return true;
}

unsigned turns_answers_left(struct turns *turns, uint16_t place_number, uint64_t turn)
{
        struct turns_share *common,
                *share = place_share(turns, &turns->places[place_number], turn, &common);

        return common && common->answers_left < share->answers_left ? common->answers_left
                                                                    : share->answers_left;
}

static void share_answered(struct turns_share *share, unsigned count)
{
        share->answers_left -= count < share->answers_left ? count : share->answers_left;
}

void turns_answered(struct turns *turns, uint16_t place_number, unsigned count)
{
        struct turns_place *place = &turns->places[place_number];
        struct turns_share *common = place_common(turns, place);

        share_answered(&place->share, count);
        if (common)
                share_answered(common, count);
}

void turns_call_begins(struct turns *turns, uint16_t place_number)
{
        struct turns_place *place = &turns->places[place_number];

        if (place->under_way++ > 0)
                return;
        turns->busy_count++;
        if (place->ended_turn == turns->ended_turn)
                turns->ended_count--;
        place->ended_turn = TURN_NONE;
}

void turns_call_ends(struct turns *turns, uint16_t place_number, uint64_t turn)
{
        struct turns_place *place = &turns->places[place_number];

        assert(place->under_way > 0);
        if (--place->under_way > 0)
                return;
        turns->busy_count--;
        if (turns->ended_turn != turn)
                turns->ended_count = 0;
        turns->ended_count++;
        turns->ended_turn = place->ended_turn = turn;
}

bool turns_are_shared(const struct turns *turns, uint64_t turn)
{
        return turns->busy_count + (turns->ended_turn == turn ? turns->ended_count : 0) > 1;
}

bool turns_begin(struct turns *turns, const struct turns_item *item, uint64_t turn)
{
        struct turns_place *place = &turns->places[item->place];

        /* Nobody overtakes what he has parked himself, or a sister with whom he shares. */
        if (!list_is_empty(&place->parked) ||
            (place_common(turns, place) && turns->owners[place->owner].waiting_count > 0))
                return false;
        return place_begin(turns, place, turn);
}

void turns_charge(struct turns *turns, uint16_t place_number, int units)
{
        struct turns_place *place = &turns->places[place_number];
        struct turns_share *common = place_common(turns, place);

        place->share.left -= units;
        if (common)
                common->left -= units;
}

/* A sister's line is not its own doing. */
static void place_count_park(struct turns *turns, struct turns_place *place)
{
        if (place->share.left > 0 && list_is_empty(&place->parked))
                return;
        if (++place->parked_count < TURNS_HEAVY || place->is_heavy ||
            list_is_empty(&place->active_link))
                return;
        place->is_heavy = true;
        turns->heavy_count++;
}

void turns_park(struct turns *turns, struct turns_item *item)
{
        struct turns_place *place = &turns->places[item->place];

        assert(!turns_item_is_parked(item) && item->place <= TURNS_NOBODY);
        place_count_park(turns, place);
        list_push_back(&place->parked, &item->link);
        if (!list_is_empty(&place->waiting_link))
                return;
        list_push_back(&turns->waiting, &place->waiting_link);
        place->is_counted = !list_is_empty(&place->active_link);
        if (place->is_counted)
                turns->owners[place->owner].waiting_count++;
}

void turns_forget(struct turns *turns, struct turns_item *item)
{
        struct turns_place *place;

        if (!turns_item_is_parked(item))
                return;
        place = &turns->places[item->place];
        list_remove(&item->link);
        if (!list_is_empty(&place->parked))
                return;
        list_remove(&place->waiting_link);
        if (place->is_counted)
                turns->owners[place->owner].waiting_count--;
        place->is_counted = false;
}

struct turns_item *turns_next(struct turns *turns, uint64_t turn)
{
        struct turns_place *place;

        LIST_FOR_EACH (place, &turns->waiting, waiting_link) {
                struct turns_item *item;
                if (!place_begin(turns, place, turn))
                        continue;
                item = CONTAINER_OF(list_peek_front(&place->parked), struct turns_item, link);
                turns_forget(turns, item);
                /* The others come before its next one. */
                if (!list_is_empty(&place->parked)) {
                        list_remove(&place->waiting_link);
                        list_push_back(&turns->waiting, &place->waiting_link);
                }
                return item;
        }
        return NULL;
}

void turns_expire(struct turns *turns, uint64_t now_ns)
{
        struct turns_place *place, *after;

        LIST_FOR_EACH_SAFE (place, after, &turns->active, active_link) {
                if (list_is_empty(&place->parked) &&
                    now_ns >= place->seen_ns + TURNS_ACTIVE_FOR_NS) {
                        place_rest(turns, place);
                        continue;
                }
                if (place->is_heavy && place->parked_count < TURNS_HEAVY &&
                    list_is_empty(&place->parked)) {
                        place->is_heavy = false;
                        turns->heavy_count--;
                }
                place->parked_count = 0;
        }
}
