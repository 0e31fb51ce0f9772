/* The agent's whole state; see main.c for how it works. */
#pragma once

#include "agent/heirlooms.h"
#include "agent/instance.h"
#include "agent/nursery.h"
#include "agent/oom.h"
#include "agent/spawn.h"
#include "agent/stock.h"
#include "base/list.h"
#include "base/loop.h"

#define AGENT_BUCKETS 4096

struct agent {
        struct loop loop;
        struct loop_source control, signals;
        int signal_fd;
        struct spawner spawner;
        struct stock stock;
        struct nursery python_nursery, node_nursery;
        struct heirlooms heirlooms;
        struct oom_shard oom_shards[SLOT_SHARDS];
        struct list gateways;
        struct list instances;
        struct list by_id[AGENT_BUCKETS]; /* instances, by the gateway's number for them */
        bool ending;                      /* stop when the last instance is gone */
        char request[AGENT_MESSAGE_MAX + 1];
};

/* NULL where that gateway has no such instance (any more). */
struct instance *agent_find_instance(struct agent *agent, const struct gateway *gateway,
                                     uint64_t id);
struct list *agent_bucket(struct agent *agent, uint64_t id);
/* Called whenever an instance or a gateway is gone. */
void agent_check_end(struct agent *agent);
