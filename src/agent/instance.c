/* Watching sandboxes and clearing up behind them; see instance.h. */
#include "agent/instance.h"

#include "agent/agent.h"
#include "agent/file.h"
#include "agent/gateway.h"
#include "agent/layers.h"
#include "agent/runtime.h"
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
        list_remove(&instance->by_birth);
        list_remove(&instance->by_shard);
        list_remove(&instance->all);
        loop_remove(loop, &instance->exit);
        loop_remove(loop, &instance->events);
        fd_close(&instance->made.pid_fd);
        fd_close(&instance->events_fd);
        spawned_close_fds(&instance->made);
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

        spawner_give_back(&agent->spawner, instance->made.slot);
        instance_close(instance);
        if (instance->gateway)
                gateway_send_exited(instance->gateway, instance);
        free(instance);
        agent_check_end(agent);
}

/* Gives the groups up if nobody is in them any more: then true, and the instance is gone. */
static bool instance_try_leave(struct instance *instance)
{
        struct slot *slot = instance->made.slot;
        int r = cgroup_leave(&instance->agent->spawner.cgroups, &slot->group);

        if (r == 0)
                instance_finish(instance);
        else if (r != -EBUSY)
                log_error("removing the control group of slot %u: %s", slot->number, strerror(-r));
        return r == 0;
}

static void instance_on_events(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, events);
        char byte;

        (void)events;
        /* Reading re-arms the event. */
        if (pread(instance->events_fd, &byte, 1, 0) >= 0)
                (void)instance_try_leave(instance);
}

/* magpie-init's last act is to write how the function's process ended into its own name, because
 * an exit status cannot hold both kinds: "exit 3" or "signal 11". */
static void read_outcome(struct instance *instance, const siginfo_t *info)
{
        char path[32], name[32];
        unsigned int number;

        if (info->si_code != CLD_EXITED) {
                instance->cause = instance->kill_asked ? AGENT_EXIT_KILLED : AGENT_EXIT_SIGNAL;
                instance->code = (uint32_t)info->si_status;
                return;
        }
        (void)snprintf(path, sizeof(path), "%d/comm", instance->made.pid);
        if (file_read_at(instance->agent->spawner.proc_fd, path, name, sizeof(name)) < 0)
                name[0] = '\0';
        if (sscanf(name, "signal %u", &number) == 1) {
                instance->cause = AGENT_EXIT_SIGNAL;
                instance->code = number;
        } else {
                instance->cause = AGENT_EXIT_CODE;
                instance->code = (uint32_t)info->si_status;
        }
}

static void read_usage(struct instance *instance)
{
        struct cgroup_usage usage;

        cgroup_read_usage(&instance->agent->spawner.cgroups, &instance->made.slot->group, &usage);
        instance->memory_peak = usage.memory_peak;
        if (usage.oom_kills > 0)
                instance->cause = AGENT_EXIT_OUT_OF_MEMORY;
}

/* Whether it died of that is nobody's to find out: the next one starts without. */
static void condemn_what_it_took(const struct instance *instance)
{
        if (instance->heirloom != 0 &&
            (instance->cause == AGENT_EXIT_SIGNAL ||
             (instance->cause == AGENT_EXIT_CODE && instance->code == WORKER_HEIRLOOM_BROKEN)))
                heirlooms_condemn(&instance->agent->heirlooms, instance->heirloom);
}

static void give_up_what_it_fills(const struct instance *instance)
{
        bool by_itself =
                instance->cause == AGENT_EXIT_SIGNAL || instance->cause == AGENT_EXIT_OUT_OF_MEMORY;

        if (instance->fills != 0)
                heirlooms_left(&instance->agent->heirlooms, instance->fills, by_itself);
}

/* The death of a pid namespace's first process is the death of all in it, and no one can leave it, so
 * the groups are empty; the kill catches what that reasoning has overlooked. */
static void instance_empty(struct instance *instance)
{
        struct agent *agent = instance->agent;
        const struct slot *slot = instance->made.slot;
        int fd, r;

        instance->state = INSTANCE_EMPTYING;
        if (instance_try_leave(instance))
                return;
        (void)cgroup_kill(&agent->spawner.cgroups, &slot->group);
        fd = instance->events_fd = cgroup_open_events(&agent->spawner.cgroups, &slot->group);
        r = fd < 0 ? fd : loop_add(&agent->loop, &instance->events, fd, EPOLLPRI);
        if (r < 0)
                log_error("watching the control group of slot %u: %s", slot->number, strerror(-r));
        (void)instance_try_leave(instance); /* it may have happened before we watched */
}

static void instance_on_exit(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, exit);
        siginfo_t info = {0};

        (void)events;
        assert(instance->state != INSTANCE_EMPTYING);
        /* Its name can be read until it is reaped. */
        if (waitid(P_PIDFD, (id_t)instance->made.pid_fd, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
            info.si_pid == 0)
                return;
        if (instance->state == INSTANCE_PARKED)
                stock_forget(&instance->agent->stock, instance);
        read_outcome(instance, &info);
        (void)waitid(P_PIDFD, (id_t)instance->made.pid_fd, &info, WEXITED | WNOHANG);
        loop_remove(&instance->agent->loop, &instance->exit);
        list_remove(&instance->by_shard);
        fd_close(&instance->made.pid_fd);
        read_usage(instance);
        condemn_what_it_took(instance);
        give_up_what_it_fills(instance);
        instance_empty(instance);
}

static int instance_watch(struct instance *instance)
{
        struct loop *loop = &instance->agent->loop;
        int r = loop_add(loop, &instance->exit, instance->made.pid_fd, EPOLLIN);

        return r < 0 ? r : oom_watch(instance);
}

static struct instance *instance_new(struct agent *agent)
{
        struct instance *instance = calloc(1, sizeof(*instance));

        if (!instance)
                return NULL;
        *instance = (struct instance){
                .agent = agent,
                .state = INSTANCE_PARKED,
                .made = {.pid_fd = -1, .mount_fd = -1, .adopted_log_fd = -1, .fds = {-1, -1, -1}},
                .events_fd = -1,
        };
        list_init(&instance->by_gateway);
        list_init(&instance->by_id);
        list_init(&instance->by_birth);
        list_init(&instance->by_shard);
        list_init(&instance->all);
        loop_source_init(&instance->exit, instance_on_exit);
        loop_source_init(&instance->events, instance_on_events);
        return instance;
}

int instance_park(struct agent *agent, const struct parking *parking,
                  struct instance **ret_instance, struct err *err)
{
        struct instance *instance = instance_new(agent);
        int r;

        if (!instance)
                return err_set(err, -ENOMEM, "no memory for another sandbox");
        r = spawner_park(&agent->spawner, parking, &instance->made, err);
        if (r < 0) {
                instance_free(instance);
                return r;
        }
        r = instance_watch(instance);
        if (r < 0) {
                loop_remove(&agent->loop, &instance->exit);
                spawner_undo(&agent->spawner, &instance->made);
                instance_free(instance);
                return err_errno(err, r, "watching the sandbox");
        }
        list_push_back(&agent->instances, &instance->all);
        *ret_instance = instance;
        return 0;
}

static int park_for(struct agent *agent, const struct agent_spawn *request, bool adopts,
                    struct instance **ret_instance, struct err *err)
{
        const struct parking parking = {.runtime = runtime_parked(request->runtime, adopts),
                                        .adopts = adopts,
                                        .ids = runtime_ids(request),
                                        .limits = {.memory_bytes = request->memory_bytes,
                                                   .process_max = request->process_max,
                                                   .cpu_millis = request->cpu_millis},
                                        .tmp_bytes = request->tmp_bytes};

        return instance_park(agent, &parking, ret_instance, err);
}

/* A sandbox for this request alone: the nursery forks an interpreter into it, where that is quick, or
 * magpie-init starts one when it has its orders. */
static int instance_park_for(struct agent *agent, const struct agent_spawn *request,
                             struct instance **ret_instance, struct err *err)
{
        struct instance *instance = NULL;

        if (stock_can_fork(&agent->stock, request) &&
            park_for(agent, request, true, &instance, err) == 0 && instance &&
            stock_ask_nursery(&agent->stock, instance) == 0) {
                *ret_instance = instance;
                return 0;
        }
        return park_for(agent, request, false, ret_instance, err);
}

/* A trial is of code that nobody may ever run again, and of a function that may have no id yet. */
static bool can_inherit(const struct instance *instance, const struct agent_spawn *request)
{
        return !request->verify && request->function[0] != '\0' &&
               (instance->made.from_nursery || request->runtime == AGENT_RUNTIME_NODE);
}

/* Code, or an image's root, as a mount that is attached nowhere. A descriptor. */
static int open_code(const struct agent *agent, const struct agent_spawn *request, struct err *err)
{
        const struct template *template = &agent->spawner.template;
        bool is_image = request->runtime == AGENT_RUNTIME_IMAGE;
        int fd = is_image ? template_open_image(template, request->digest)
                          : template_open_code(template, request->digest, request->verify);

        if (fd < 0)
                return err_errno(err, fd, "opening the %s %s", is_image ? "image" : "code",
                                 request->digest);
        return fd;
}

int instance_spawn(struct agent *agent, struct gateway *gateway, struct agent_spawn *request,
                   struct instance **ret_instance, struct err *err)
{
        AUTO(fd_close)
        int code_fd = open_code(agent, request, err);
        AUTO(fd_close) int layers_fd = -1;
        struct instance *instance;
        struct heirloom_lent heirloom = {.fd = -1};
        int r = 0;

        if (code_fd < 0)
                return code_fd;
        r = layers_open(&agent->spawner.template, request, &layers_fd, err);
        if (r < 0)
                return r;
        instance = stock_take(&agent->stock, request);
        if (instance)
                memset(instance->made.phase_us, 0, sizeof(instance->made.phase_us));
        else
                r = instance_park_for(agent, request, &instance, err);
        if (r < 0)
                return r;
        if (can_inherit(instance, request))
                heirloom = heirlooms_lend(&agent->heirlooms, request, agent->loop.now_ns);
        if (heirloom.use == HEIRLOOM_TO_TAKE)
                instance->heirloom = heirloom.number;
        if (heirloom.use == HEIRLOOM_TO_FILL)
                instance->fills = heirloom.number;
        r = spawner_assign(&agent->spawner, &instance->made, request, code_fd, layers_fd, &heirloom,
                           err);
        if (r == 0) {
                r = cgroup_let_freeze(&agent->spawner.cgroups, &instance->made.slot->group,
                                      gateway->user);
                if (r < 0)
                        (void)err_errno(err, r, "letting the gateway freeze it");
        }
        if (r < 0) {
                instance_kill(instance); /* nobody hears of it */
                return r;
        }
        instance->state = INSTANCE_RUNNING;
        instance->gateway = gateway;
        instance->id = request->instance_id;
        list_push_back(&gateway->instances, &instance->by_gateway);
        list_push_back(agent_bucket(agent, instance->id), &instance->by_id);
        *ret_instance = instance;
        return 0;
}

void instance_kill(struct instance *instance)
{
        instance->kill_asked = true;
        spawner_kill(&instance->agent->spawner, &instance->made);
}
