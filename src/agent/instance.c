/* Watching sandboxes and clearing up behind them; see instance.h. */
#include "agent/instance.h"

#include "agent/agent.h"
#include "agent/file.h"
#include "agent/gateway.h"
#include "base/auto.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Everything that anybody could notice goes; the memory stays. */
static void instance_close(struct instance *instance)
{
        struct loop *loop = &instance->agent->loop;

        list_remove(&instance->by_gateway);
        list_remove(&instance->by_id);
        list_remove(&instance->all);
        loop_remove(loop, &instance->exit);
        loop_remove(loop, &instance->oom);
        loop_remove(loop, &instance->events);
        fd_close(&instance->pid_fd);
        fd_close(&instance->oom_fd);
        fd_close(&instance->events_fd);
}

static void instance_free(struct instance *instance)
{
        instance_close(instance);
        free(instance);
}

/* EXITED goes out last: whoever has read it finds nothing of the instance any more. */
static void instance_finish(struct instance *instance)
{
        struct agent *agent = instance->agent;

        slots_give_back(&agent->spawner.slots, instance->slot);
        instance_close(instance);
        if (instance->gateway)
                gateway_send_exited(instance->gateway, instance);
        free(instance);
        agent_check_end(agent);
}

/* Removes the groups if nobody is in them any more. */
static void instance_try_remove(struct instance *instance)
{
        int r = cgroup_remove(&instance->agent->spawner.cgroups, instance->slot);

        if (r == 0)
                instance_finish(instance);
        else if (r != -EBUSY)
                log_error("removing the control group of slot %u: %s", instance->slot,
                          strerror(-r));
}

static void instance_on_events(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, events);
        char byte;

        (void)events;
        /* Reading re-arms the event. */
        if (pread(instance->events_fd, &byte, 1, 0) >= 0)
                instance_try_remove(instance);
}

/* magpie-init's last act is to write how the function's process ended into its own name, because
 * an exit status cannot hold both kinds: "exit 3" or "signal 11". */
static void read_outcome(struct instance *instance, const siginfo_t *info)
{
        char path[32], name[32];
        unsigned int number;

        (void)snprintf(path, sizeof(path), "%d/comm", instance->pid);
        if (file_read_at(instance->agent->spawner.proc_fd, path, name, sizeof(name)) < 0)
                name[0] = '\0';
        if (info->si_code != CLD_EXITED) {
                instance->cause = instance->kill_asked ? AGENT_EXIT_KILLED : AGENT_EXIT_SIGNAL;
                instance->code = (uint32_t)info->si_status;
        } else if (sscanf(name, "signal %u", &number) == 1) {
                instance->cause = AGENT_EXIT_SIGNAL;
                instance->code = number;
        } else {
                instance->cause = AGENT_EXIT_CODE;
                instance->code = (uint32_t)info->si_status;
        }
}

/* Before the v1 group goes: its going is reported on the same eventfd. */
static void stop_watching_oom(struct instance *instance)
{
        uint64_t count;

        loop_remove(&instance->agent->loop, &instance->oom);
        if (instance->oom_fd >= 0 && read(instance->oom_fd, &count, sizeof(count)) > 0)
                instance->out_of_memory = true;
        fd_close(&instance->oom_fd);
}

static void read_usage(struct instance *instance)
{
        struct cgroup_usage usage;

        stop_watching_oom(instance);
        cgroup_read_usage(&instance->agent->spawner.cgroups, instance->slot, &usage);
        instance->memory_peak = usage.memory_peak;
        if (usage.oom_kills > 0 || instance->out_of_memory)
                instance->cause = AGENT_EXIT_OUT_OF_MEMORY;
}

/* The death of a pid namespace's first process is the death of all in it, and no one can leave it;
 * the kill catches what that reasoning has overlooked. */
static void instance_empty(struct instance *instance)
{
        struct agent *agent = instance->agent;
        int fd, r;

        instance->state = INSTANCE_EMPTYING;
        (void)cgroup_kill(&agent->spawner.cgroups, instance->slot);
        fd = instance->events_fd = cgroup_open_events(&agent->spawner.cgroups, instance->slot);
        r = fd < 0 ? fd : loop_add(&agent->loop, &instance->events, fd, EPOLLPRI);
        if (r < 0)
                log_error("watching the control group of slot %u: %s", instance->slot,
                          strerror(-r));
        instance_try_remove(instance);
}

static void instance_on_exit(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, exit);
        siginfo_t info = {0};

        (void)events;
        assert(instance->state == INSTANCE_RUNNING);
        /* Its name can be read until it is reaped. */
        if (waitid(P_PIDFD, (id_t)instance->pid_fd, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
            info.si_pid == 0)
                return;
        read_outcome(instance, &info);
        (void)waitid(P_PIDFD, (id_t)instance->pid_fd, &info, WEXITED | WNOHANG);
        loop_remove(&instance->agent->loop, &instance->exit);
        fd_close(&instance->pid_fd);
        read_usage(instance);
        instance_empty(instance);
}

/* The v1 memory controller kills one process at its limit; v2's would kill the sandbox. */
static void instance_on_oom(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, oom);

        (void)events;
        stop_watching_oom(instance);
        (void)cgroup_kill(&instance->agent->spawner.cgroups, instance->slot);
}

/* Takes the sandbox's descriptors over from `spawned`. */
static int instance_watch(struct instance *instance, struct spawned *spawned)
{
        struct loop *loop = &instance->agent->loop;
        int r = loop_add(loop, &instance->exit, spawned->pid_fd, EPOLLIN);

        if (r == 0 && spawned->oom_fd >= 0)
                r = loop_add(loop, &instance->oom, spawned->oom_fd, EPOLLIN);
        if (r < 0)
                return r;
        instance->slot = spawned->slot;
        instance->pid = spawned->pid;
        instance->pid_fd = fd_steal(&spawned->pid_fd);
        instance->oom_fd = fd_steal(&spawned->oom_fd);
        return 0;
}

static struct instance *instance_new(struct agent *agent, struct gateway *gateway, uint64_t id)
{
        struct instance *instance = calloc(1, sizeof(*instance));

        if (!instance)
                return NULL;
        *instance = (struct instance){
                .agent = agent,
                .gateway = gateway,
                .id = id,
                .state = INSTANCE_RUNNING,
                .pid_fd = -1,
                .oom_fd = -1,
                .events_fd = -1,
        };
        list_init(&instance->by_gateway);
        list_init(&instance->by_id);
        list_init(&instance->all);
        loop_source_init(&instance->exit, instance_on_exit);
        loop_source_init(&instance->oom, instance_on_oom);
        loop_source_init(&instance->events, instance_on_events);
        return instance;
}

int instance_spawn(struct agent *agent, struct gateway *gateway, const struct agent_spawn *request,
                   struct spawned *ret_spawned, struct err *err)
{
        struct instance *instance = instance_new(agent, gateway, request->instance_id);
        struct spawned spawned;
        int r;

        if (!instance)
                return err_set(err, -ENOMEM, "no memory for another sandbox");
        r = spawner_spawn(&agent->spawner, request, &spawned, err);
        if (r < 0) {
                instance_free(instance);
                return r;
        }
        r = instance_watch(instance, &spawned);
        if (r < 0) {
                instance_free(instance);
                spawner_undo(&agent->spawner, &spawned);
                return err_errno(err, r, "watching the sandbox");
        }
        list_push_back(&gateway->instances, &instance->by_gateway);
        list_push_back(agent_bucket(agent, instance->id), &instance->by_id);
        list_push_back(&agent->instances, &instance->all);
        *ret_spawned = spawned;
        return 0;
}

void instance_kill(struct instance *instance)
{
        instance->kill_asked = true;
        (void)cgroup_kill(&instance->agent->spawner.cgroups, instance->slot);
}
