/* Who hangs up; see connection.h. */
#include "gateway/connection_parts.h"

#include "gateway/gateway.h"
#include "gateway/tenants.h"

#define LEAVE_BATCH 8 /* a turn; each takes as long as a request */

void connection_leave(struct connection *connection, bool is_over)
{
        struct gateway_thread *thread = connection->thread;

        loop_remove(&thread->loop, &connection->source);
        connection->is_over = is_over;
        list_push_back(&thread->leaving, &connection->leaving);
        loop_defer_turn(&thread->loop, &thread->let_go);
}

/* It may have asked before it hung up, or only have closed its own side. Who is parked is read when it is his
 * turn. */
static void connection_see_off(struct connection *connection)
{
        struct gateway_thread *thread = connection->thread;

        if (connection->is_over)
                connection_close(connection);
        else if (!turns_item_is_parked(&connection->turn) &&
                 (!turns_are_taken(&thread->tenants.turns) || tenants_let(connection)))
                connection_read(connection);
        list_remove(&connection->leaving);
        if (connection->fd >= 0 && loop_add(&thread->loop, &connection->source, connection->fd,
                                            connection_events(connection)) < 0)
                connection_close(connection);
}

static struct connection *first_to_leave(struct gateway_thread *thread)
{
        struct list *link = list_peek_front(&thread->leaving);

        return link ? CONTAINER_OF(link, struct connection, leaving) : NULL;
}

void connection_let_go(struct loop_task *task)
{
        struct gateway_thread *thread = CONTAINER_OF(task, struct gateway_thread, let_go);
        struct connection *connection;

        for (int i = 0; i < LEAVE_BATCH && (connection = first_to_leave(thread)); i++)
                connection_see_off(connection);
        if (first_to_leave(thread))
                loop_defer_turn(&thread->loop, task);
}

bool connection_let_one_go(struct gateway_thread *thread)
{
        struct connection *connection = first_to_leave(thread);

        if (connection)
                connection_see_off(connection);
        return connection && connection->fd < 0;
}
