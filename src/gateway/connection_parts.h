/* What the files that make up the connection share and nobody else needs. */
#pragma once

#include "gateway/connection.h"

/* Asks the loop for what the connection can do something with now. */
void connection_watch(struct connection *connection);

/* connection_room.c: it has nothing to do from now on, or has begun a head; the last of these in line to
 * make room for others. */
void connection_rest(struct connection *connection);
void connection_begin_head(struct connection *connection);
/* Between two requests, and nothing of the next has come. */
bool connection_is_unasked(const struct connection *connection);
/* It was parked (tenants.h), and its turn has come. */
void connection_unpark(struct connection *connection);

/* connection_output.c: the socket takes more of what waits. */
void connection_send_output(struct connection *connection);
void connection_drop_output(struct connection *connection);
