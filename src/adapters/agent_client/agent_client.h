/* The sandbox host that is magpie-agent, over the agent protocol. */
#pragma once

#include "base/loop.h"
#include "ports/sandbox_host.h"

struct agent_client {
        struct sandbox_host host;
        struct sandbox_listener *listener; /* borrowed */
        struct loop *loop;                 /* borrowed */
        const struct reach_names *reach;   /* borrowed: the agent's ranges, in its order */
        struct loop_source source;
        int channel_fd;      /* -1 while no agent is there */
        struct list waiting; /* messages that an agent that is busy has no room for yet */
        int groups_fd; /* HELLO's folder: the same number for every agent, as other threads use it */
        char *message; /* AGENT_MESSAGE_MAX bytes, for both directions */
};

int agent_client_init(struct agent_client *client, struct loop *loop,
                      struct sandbox_listener *listener, const struct reach_names *reach);
void agent_client_deinit(struct agent_client *client);
/* A new agent is there (or the first one). Takes the descriptor over; ready() or lost() follows. */
void agent_client_connect(struct agent_client *client, int channel_fd);
