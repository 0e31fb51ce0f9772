/* Fairness between tenants and their functions; see tenants.h. */
#include "gateway/tenants.h"

#include "gateway/connection_parts.h"
#include "gateway/gateway.h"

#include <sched.h>

/* At the end of a turn, when what others asked for is on its way: each function's next. */
static void tenants_serve(struct loop_task *task)
{
        struct tenants *tenants = CONTAINER_OF(task, struct tenants, serve);
        struct gateway_thread *thread = CONTAINER_OF(tenants, struct gateway_thread, tenants);
        struct turns_item *item;

        while ((item = turns_next(&tenants->turns, thread->loop.now_ns)))
                connection_unpark(CONTAINER_OF(item, struct connection, turn));
        if (turns_are_due(&tenants->turns))
                loop_defer_turn(&thread->loop, task);
}

/* The flood of one function never lets the thread sleep, so that the system's scheduler would give the
 * processor to another's function, or client, only at the end of the thread's slice. */
static void tenants_yield(struct loop_task *task)
{
        struct tenants *tenants = CONTAINER_OF(task, struct tenants, yield);
        struct gateway_thread *thread = CONTAINER_OF(tenants, struct gateway_thread, tenants);

        if (turns_are_taken(&tenants->turns) && turns_are_short(&tenants->turns) &&
            turns_are_shared(&tenants->turns, thread->loop.now_ns))
                (void)sched_yield();
}

void tenants_init(struct tenants *tenants, bool fair)
{
        tenants->fair = fair;
        turns_init(&tenants->turns, TENANTS_QUANTUM, TENANTS_ANSWERS);
        loop_task_init(&tenants->serve, tenants_serve);
        loop_task_init(&tenants->yield, tenants_yield);
        atomic_init(&tenants->waited, 0);
}

void tenants_see(struct connection *connection, const struct live *live)
{
        struct gateway_thread *thread = connection->thread;

        turns_forget(&thread->tenants.turns, &connection->turn); /* parked as somebody else's */
        connection->turn.place = live->turns_place;
        (void)loop_put_first(&thread->loop, &connection->source, false);
        if (thread->tenants.fair)
                turns_see(&thread->tenants.turns, live->turns_place, live->owner_place,
                          thread->loop.now_ns);
}

void tenants_begin_call(struct gateway_thread *thread, const struct live *live)
{
        turns_call_begins(&thread->tenants.turns, live->turns_place);
}

void tenants_end_call(struct gateway_thread *thread, const struct live *live)
{
        turns_call_ends(&thread->tenants.turns, live->turns_place, thread->loop.now_ns);
}

/* False: it is parked. */
static bool tenants_begin(struct connection *connection)
{
        struct gateway_thread *thread = connection->thread;
        struct tenants *tenants = &thread->tenants;

        if (turns_begin(&tenants->turns, &connection->turn, thread->loop.now_ns))
                return true;
        turns_park(&tenants->turns, &connection->turn);
        atomic_store_explicit(&tenants->waited,
                              atomic_load_explicit(&tenants->waited, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        connection_watch(connection);
        loop_defer_turn(&thread->loop, &tenants->serve);
        return false;
}

bool tenants_let(struct connection *connection)
{
        if (turns_item_is_parked(&connection->turn))
                return false;
        return connection->turn.place == TURNS_NOBODY || tenants_begin(connection);
}

bool tenants_let_next(struct connection *connection)
{
        connection->resume_parked = !tenants_begin(connection);
        return !connection->resume_parked;
}

void tenants_charge(struct connection *connection, size_t bytes)
{
        if (connection->turn.place != TURNS_NOBODY)
                turns_charge(&connection->thread->tenants.turns, connection->turn.place,
                             (int)(bytes / TENANTS_UNIT_BYTES));
}

unsigned tenants_let_answers(struct gateway_thread *thread, const struct live *live, unsigned most)
{
        struct turns *turns = &thread->tenants.turns;
        unsigned left;

        if (!turns_are_taken(turns))
                return most;
        left = turns_answers_left(turns, live->turns_place, thread->loop.now_ns);
        return left < most ? left : most;
}

void tenants_count_answers(struct gateway_thread *thread, const struct live *live, int count)
{
        if (count > 0 && turns_are_taken(&thread->tenants.turns))
                turns_answered(&thread->tenants.turns, live->turns_place, (unsigned)count);
}

void tenants_expire(struct tenants *tenants, uint64_t now_ns)
{
        turns_expire(&tenants->turns, now_ns);
}
