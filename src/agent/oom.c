/* Watching out for memory limits that are met; see oom.h. */
#include "agent/oom.h"

#include "agent/agent.h"

#include <unistd.h>

#define FIRST_LOOK_MS 1
#define LAST_LOOK_MS 4096 /* a sandbox with little of a processor may be slow in killing */

static void look(struct oom_shard *shard)
{
        const struct cgroup_tree *cgroups = &shard->agent->spawner.cgroups;
        struct instance *instance, *after;

        LIST_FOR_EACH_SAFE (instance, after, &shard->instances, by_shard) {
                struct cgroup *group = &instance->made.slot->group;
                if (cgroup_oom_kills(cgroups, group) == 0)
                        continue;
                list_remove(&instance->by_shard);
                spawner_kill(&shard->agent->spawner, &instance->made);
        }
}

static void on_timer(struct timer *timer)
{
        struct oom_shard *shard = CONTAINER_OF(timer, struct oom_shard, timer);

        look(shard);
        shard->delay_ms *= 4;
        if (shard->delay_ms <= LAST_LOOK_MS)
                loop_set_timer(&shard->agent->loop, timer, shard->delay_ms);
}

static void on_event(struct loop_source *source, uint32_t events)
{
        struct oom_shard *shard = CONTAINER_OF(source, struct oom_shard, source);
        uint64_t count;

        (void)events;
        if (read(source->fd, &count, sizeof(count)) < 0)
                return;
        look(shard);
        shard->delay_ms = FIRST_LOOK_MS;
        loop_set_timer(&shard->agent->loop, &shard->timer, shard->delay_ms);
}

static int open_shard(struct oom_shard *shard, struct agent *agent, int fd)
{
        int r;

        list_init(&shard->instances);
        timer_init(&shard->timer, on_timer);
        loop_source_init(&shard->source, on_event);
        r = loop_add(&agent->loop, &shard->source, fd, EPOLLIN);
        if (r == 0)
                shard->agent = agent;
        return r;
}

int oom_watch(struct instance *instance)
{
        struct agent *agent = instance->agent;
        uint32_t number = instance->made.slot->number / SLOT_SHARD;
        struct oom_shard *shard = &agent->oom_shards[number];
        int r = 0;

        if (agent->spawner.oom_fds[number] < 0)
                return 0;
        if (!shard->agent)
                r = open_shard(shard, agent, agent->spawner.oom_fds[number]);
        if (r == 0)
                list_push_back(&shard->instances, &instance->by_shard);
        return r;
}
