/* What the files that make up the connection share and nobody else needs. */
#pragma once

#include "gateway/connection.h"

/* When its loop's turn began. */
uint64_t connection_now_ms(const struct connection *connection);
/* What it can do something with now: EPOLLIN, EPOLLOUT ... */
uint32_t connection_events(const struct connection *connection);
/* Asks the loop for that; harmless on one that has left. */
void connection_watch(struct connection *connection);

/* connection_room.c: it is idle from now on, for --idle-timeout at most, or has begun a head; the last of
 * these in line to make room for others. */
void connection_rest(struct connection *connection);
void connection_begin_head(struct connection *connection);
/* Between two requests, and nothing of the next has come. */
bool connection_is_unasked(const struct connection *connection);
/* It was parked (tenants.h), and its turn has come. */
void connection_unpark(struct connection *connection);

/* Takes what the client sent. */
void connection_read(struct connection *connection);

/* connection_leave.c: it has hung up. Off the loop it goes at once, and is looked at behind everybody else:
 * closing takes twenty times as long, and of thousands that hang up together epoll brings each before
 * whoever asks next. `is_over`: both ways, nothing of it can be served. */
void connection_leave(struct connection *connection, bool is_over);

/* connection_output.c: the socket takes more of what waits. */
void connection_send_output(struct connection *connection);
void connection_drop_output(struct connection *connection);
