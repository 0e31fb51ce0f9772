/* Taking turns: functions that share a thread, so that one that is called a thousand times holds up nobody
 * who calls another once.
 *
 * While one function alone is active it has all there is. While several are, each may begin no more than
 * a quantum of work in a turn of the loop; what it is asked beyond that is parked behind it and begun in
 * later turns, round robin, each function's own in the order in which it came. So a turn stays short, and
 * who asks little finds his share unused. Nothing is held back while there is nothing else to do: who
 * is parked is asked for in the very next turn. Where several owners' functions are active, those of one
 * owner have one quantum together: nobody has more because he has more functions. Short turns cost
 * something, and help who asks little: where all that are active are *heavy*, parked again and again in this
 * second or the last, turns are longer, and shares as even.
 *
 * This is deficit round robin (Shreedhar and Varghese, SIGCOMM '95): work that turned out dearer than
 * a unit is owed, and paid from the next turns' quanta. Functions and owners are told apart by the hash of
 * their ids, as in stochastic fairness queueing (McKenney, INFOCOM '90): a table of fixed size and no
 * memory of its own, at the price that two of them may happen to share a place; the seed of the hash
 * is another at each start.
 *
 * Pure: no clock and no lock. It belongs to a thread; a turn is named by a number that grows.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_PLACES 1024
#define TURNS_NOBODY TURNS_PLACES         /* whose work it is, nobody knows yet; never active */
#define TURNS_ACTIVE_FOR_NS 1000000000ull /* after its last work, with nothing parked */
#define TURNS_LONG 128 /* units of a turn in which all are heavy, if shared by up to 32 */
#define TURNS_HEAVY 16 /* times parked in a second */

/* Of a turn. */
struct turns_share {
        uint64_t turn; /* the rest is of this one */
        int left;      /* units that may begin; below 0: owed */
        unsigned answers_left;
};

struct turns_owner {
        unsigned active_count, waiting_count; /* functions: active, and with something parked */
        struct turns_share share;
};

/* A function's place. */
struct turns_place {
        struct list waiting_link; /* turns->waiting while something is parked */
        struct list active_link;  /* turns->active */
        struct list parked;       /* struct turns_item, the one that came first in front */
        uint64_t seen_ns;
        struct turns_share share;
        uint16_t owner; /* while it is active */
        bool is_heavy;
        bool is_counted;       /* by its owner, as one with something parked */
        unsigned parked_count; /* in this second */
        unsigned under_way;    /* calls, begun and not answered */
        uint64_t ended_turn;   /* the last of them was, in this turn, and none has begun since */
};

/* What is parked; embedded by whoever parks it. */
struct turns_item {
        struct list link;
        uint16_t
                place; /* whose it is, or TURNS_NOBODY; the caller's to set while it is not parked */
};

struct turns {
        int quantum;          /* units that an owner may begin in a short turn, and each function */
        unsigned answers;     /* the same, of answers that are carried to clients */
        unsigned busy_count;  /* places with something under way */
        unsigned ended_count; /* places with an `ended_turn` that is ... */
        uint64_t ended_turn;  /* ... this */
        size_t active_count, owner_count, heavy_count;
        struct turns_owner owners[TURNS_PLACES];
        struct list active; /* struct turns_place */
        struct list
                waiting; /* those with something parked; whoever has just had its share behind */
        struct turns_place places[TURNS_PLACES + 1]; /* the last is TURNS_NOBODY's */
};

void turns_init(struct turns *turns, int quantum, unsigned answers);
void turns_item_init(struct turns_item *item);

/* The place of the function, or of the owner, whose id has this hash. */
static inline uint16_t turns_place(uint64_t hash)
{
        return (uint16_t)(hash % TURNS_PLACES);
}

/* This function of this owner's has work. Not TURNS_NOBODY. */
void turns_see(struct turns *turns, uint16_t place, uint16_t owner, uint64_t now_ns);
/* Do several want the thread? While they do not, nothing below need be asked but for what one client
 * has sent behind something else. */
static inline bool turns_are_taken(const struct turns *turns)
{
        return turns->active_count > 1;
}

/* Is there somebody whom short turns help? */
static inline bool turns_are_short(const struct turns *turns)
{
        return turns->active_count > turns->heavy_count;
}

/* May one more unit of the item's function begin in this turn? Then it counts as begun; else park it.
 * What is parked already is not asked for. */
bool turns_begin(struct turns *turns, const struct turns_item *item, uint64_t turn);
/* What was begun last took so many units more. */
void turns_charge(struct turns *turns, uint16_t place, int units);

void turns_park(struct turns *turns, struct turns_item *item);
static inline bool turns_item_is_parked(const struct turns_item *item)
{
        return !list_is_empty(&item->link);
}
/* How many answers of this function's may yet be taken in this turn, and so many were. The others stay where
 * they are: the next turn finds them there. */
unsigned turns_answers_left(struct turns *turns, uint16_t place, uint64_t turn);
void turns_answered(struct turns *turns, uint16_t place, unsigned count);

/* A call of this function's has begun, and is over. */
void turns_call_begins(struct turns *turns, uint16_t place);
void turns_call_ends(struct turns *turns, uint16_t place, uint64_t turn);
/* Were calls of several under way in this turn? Then whoever has the thread's processor next may be
 * somebody's who has waited for it longer than the thread. */
bool turns_are_shared(const struct turns *turns, uint64_t turn);

/* It is gone, or wants nothing any more. Harmless on one that is not parked. */
void turns_forget(struct turns *turns, struct turns_item *item);
/* What may begin in this turn, parked no more; NULL where everybody with something parked has had his
 * share of the turn. */
struct turns_item *turns_next(struct turns *turns, uint64_t turn);
static inline bool turns_are_due(const struct turns *turns)
{
        return !list_is_empty(&turns->waiting);
}

/* Functions that have had no work lately are not active any more. Ask once a second. */
void turns_expire(struct turns *turns, uint64_t now_ns);
