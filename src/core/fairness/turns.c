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
        memset(turns->members, 0, sizeof(turns->members));
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
        place->is_heavy = place->was_parked = false;
        if (turns->members[owner]++ == 0)
                turns->owner_count++;
}

static void place_rest(struct turns *turns, struct turns_place *place)
{
        list_remove(&place->active_link);
        turns->active_count--;
        turns->heavy_count -= place->is_heavy;
        if (--turns->members[place->owner] == 0)
                turns->owner_count--;
}

/* How many share a quantum with it, itself counted. */
static int place_sharers(const struct turns *turns, const struct turns_place *place)
{
        return turns->owner_count > 1 && !list_is_empty(&place->active_link)
                       ? turns->members[place->owner]
                       : 1;
}

/* So many quanta are one's share. */
static int turns_length(const struct turns *turns)
{
        size_t shares = turns->owner_count > 1 ? turns->owner_count : turns->active_count;
        int length = turns_are_short(turns) || shares == 0
                             ? 1
                             : TURNS_LONG / ((int)shares * turns->quantum);

        return length > 0 ? length : 1;
}

/* A new turn brings a new quantum; what was not used is lost, what is owed is not. */
static void place_renew(const struct turns *turns, struct turns_place *place, uint64_t turn)
{
        int sharers, share, length;

        if (place->turn == turn)
                return;
        sharers = place_sharers(turns, place);
        length = turns_length(turns);
        share = length * turns->quantum * TURNS_UNIT / sharers;
        place->turn = turn;
        place->left = (share > 0 ? share : 1) + (place->left < 0 ? place->left : 0);
        place->answers_left = (unsigned)length * turns->answers / (unsigned)sharers;
        if (place->answers_left == 0)
                place->answers_left = 1;
}

static bool place_has_share(const struct turns *turns, struct turns_place *place, uint64_t turn)
{
        place_renew(turns, place, turn);
        return place->left > 0;
}

unsigned turns_answers_left(struct turns *turns, uint16_t place_number, uint64_t turn)
{
        struct turns_place *place = &turns->places[place_number];

        place_renew(turns, place, turn);
        return place->answers_left;
}

void turns_answered(struct turns *turns, uint16_t place_number, unsigned count)
{
        struct turns_place *place = &turns->places[place_number];

        place->answers_left -= count < place->answers_left ? count : place->answers_left;
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

        /* Nobody overtakes what he has parked himself. */
        if (!list_is_empty(&place->parked) || !place_has_share(turns, place, turn))
                return false;
        place->left -= TURNS_UNIT;
        return true;
}

void turns_charge(struct turns *turns, uint16_t place, int units)
{
        turns->places[place].left -= units * TURNS_UNIT;
}

void turns_park(struct turns *turns, struct turns_item *item)
{
        struct turns_place *place = &turns->places[item->place];

        assert(!turns_item_is_parked(item) && item->place <= TURNS_NOBODY);
        place->was_parked = true;
        if (!place->is_heavy && !list_is_empty(&place->active_link)) {
                place->is_heavy = true;
                turns->heavy_count++;
        }
        list_push_back(&place->parked, &item->link);
        if (list_is_empty(&place->waiting_link))
                list_push_back(&turns->waiting, &place->waiting_link);
}

void turns_forget(struct turns *turns, struct turns_item *item)
{
        struct turns_place *place;

        if (!turns_item_is_parked(item))
                return;
        place = &turns->places[item->place];
        list_remove(&item->link);
        if (list_is_empty(&place->parked))
                list_remove(&place->waiting_link);
}

struct turns_item *turns_next(struct turns *turns, uint64_t turn)
{
        struct turns_place *place;

        LIST_FOR_EACH (place, &turns->waiting, waiting_link) {
                struct turns_item *item;
                if (!place_has_share(turns, place, turn))
                        continue;
                place->left -= TURNS_UNIT;
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
                if (place->is_heavy && !place->was_parked && list_is_empty(&place->parked)) {
                        place->is_heavy = false;
                        turns->heavy_count--;
                }
                place->was_parked = false;
        }
}
