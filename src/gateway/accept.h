/* The door of a gateway thread: newcomers become connections, as many as there is room for.
 *
 * Where nobody makes room (connection_make_room()) the newcomers stay in the listener's backlog, which
 * the kernel bounds, and some of those who are answered are asked to come again ("Connection: close"), to
 * the end of that line: so whoever waits there gets in, and no request that is here is lost. The first
 * in line is taken out of it and waits here: if he gives up he must not hold a place there, for what finds
 * the backlog full is dropped, and comes again after 1, 3 and 7 s (tcp(7), tcp_syn_retries). One descriptor
 * a thread beyond --connections-max.
 */
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"

#include <sys/socket.h>

struct connection;
struct gateway_thread;

struct accept {
        struct loop_source listener;
        int listen_fd;
        int first_fd; /* whoever is next, and waits for room; -1: nobody is */
        struct sockaddr_storage first_address;
        struct timer pause; /* without room or descriptors; then the door is looked at again */
        struct loop_task more;
        unsigned wanted; /* answers that are to end their connections, until the pause is over */
        unsigned told;   /* connections that such an answer has ended, and that will soon be gone */
        struct letter begin; /* clients may come */
};

/* Takes `listen_fd` over; nobody is accepted yet. */
void accept_init(struct gateway_thread *thread, int listen_fd);
void accept_deinit(struct gateway_thread *thread);
/* Is the answer that is sent now to end its connection, so that somebody else gets in? `complete`: with all of
 * its body, so that this will be soon. */
bool accept_asks_to_leave(struct connection *connection, bool complete);
/* It has ended, or nobody knows when it will. Harmless on others. */
void accept_expect_no_more(struct connection *connection);
/* While draining: who is connected may have asked already, and is let in. Nobody after that. */
void accept_end(struct gateway_thread *thread);
