/* A gateway's connection: the table of what it may ask, and the answers. */
#pragma once

#include "agent/agent.h"

/* BROKEN: an answer could not be sent; nothing is permitted any more, and the end of the connection
 * is the loop's next event. */
enum gateway_state { GATEWAY_NEW, GATEWAY_GREETED, GATEWAY_BROKEN };

struct gateway {
        struct list link; /* agent.gateways */
        struct list instances;
        struct agent *agent;
        struct loop_source source;
        int fd;
        uid_t user; /* may freeze its sandboxes */
        bool is_known;
        bool told_of_courtesy; /* that it cannot be set */
        enum gateway_state state;
        uint32_t told[8]; /* of the stock, agent_message.parked */
};

/* Takes `fd` in any case. 0 or a negative errno. */
int gateway_accept(struct agent *agent, int fd);
/* Ends the connection and every sandbox it owns. `why` is for the log; NULL: it closed. */
void gateway_end(struct gateway *gateway, const char *why);
void gateway_send_exited(struct gateway *gateway, const struct instance *instance);
/* Tells each gateway what is parked, where that is news to it. */
void gateway_tell_stock(struct agent *agent);
