/* A parked sandbox becomes a function's; see spawn.h. */
#include "agent/environment.h"
#include "agent/runtime.h"
#include "agent/spawn.h"
#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* -1: there is none, and it can be done without. */
static int open_cache(const struct spawner *spawner, const struct slot *slot,
                      const struct heirloom_lent *heirloom)
{
        enum template_cache kind = heirloom->use == HEIRLOOM_TO_FILL ? CACHE_TO_FILL : CACHE_KEPT;
        uid_t user = slots_host_user(&spawner->slots, slot);

        if (heirloom->use == HEIRLOOM_TO_FILL && fchown(heirloom->fd, user, user) < 0)
                return -1;
        return heirloom->use == HEIRLOOM_NONE
                       ? -1
                       : template_open_cache(&spawner->template, kind, heirloom->number);
}

static int attach_code(const struct spawner *spawner, const struct spawned *spawned,
                       const struct agent_spawn *request, int code_fd, int layers_fd,
                       const struct heirloom_lent *heirloom, struct err *err)
{
        bool resize = request->tmp_bytes != spawned->tmp_bytes;
        char tmp_options[TMP_OPTIONS_MAX];
        AUTO(fd_close) int cache_fd = -1;
        int r;

        tmp_options_make(tmp_options, request->tmp_bytes);
        if (request->runtime == AGENT_RUNTIME_IMAGE)
                return template_enter_image(&spawner->template, spawned->mount_fd, code_fd,
                                            resize ? tmp_options : NULL, err);
        if (request->runtime == AGENT_RUNTIME_NODE)
                cache_fd = open_cache(spawner, spawned->slot, heirloom);
        r = template_attach_code(&spawner->template, spawned->mount_fd, code_fd, layers_fd,
                                 cache_fd, resize ? tmp_options : NULL);
        return r < 0 ? err_errno(err, r, "mounting /code, /opt and /tmp") : 0;
}

/* Appends each string with its NUL. False where they do not fit. */
static bool put_strings(struct spawner *spawner, size_t *used, const char *const *strings)
{
        for (; *strings; strings++) {
                size_t length = strlen(*strings) + 1;
                if (length > sizeof(spawner->boot) - *used)
                        return false;
                memcpy(spawner->boot + *used, *strings, length);
                *used += length;
        }
        return true;
}

/* With a descriptor, where it is not -1. */
static int send_with(int socket_fd, struct slice bytes, int fd)
{
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.length};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        if (fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
        }
        return sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Through the gateway's end of the worker socket, before the gateway has it. */
static int send_boot(struct spawner *spawner, const struct spawned *spawned,
                     const struct agent_spawn *request, int snapshot_fd)
{
        struct runtime_command command;
        struct environment environment;
        struct worker_frame frame = {.type = WORKER_BOOT};
        size_t used = WORKER_HEADER_SIZE;

        runtime_command_make(&command, request, spawned->has_interpreter);
        environment_make(&environment, request);
        if (!put_strings(spawner, &used, command.words))
                return -EMSGSIZE;
        frame.meta = slice_make(spawner->boot + WORKER_HEADER_SIZE, used - WORKER_HEADER_SIZE);
        if (frame.meta.length > WORKER_META_MAX ||
            !put_strings(spawner, &used, environment.variables))
                return -EMSGSIZE;
        worker_frame_encode_header(&frame, spawner->boot);
        return send_with(spawned->fds[AGENT_FD_SOCKET], slice_make(spawner->boot, used),
                         snapshot_fd);
}

/* For good: whatever comes of the rest, its namespace has had a way out. */
static int open_way_out(struct spawner *spawner, struct slot *slot,
                        const struct agent_spawn *request, uint64_t now_ns, struct err *err)
{
        int r;

        if (request->network == AGENT_NETWORK_NONE)
                return 0;
        r = egress_attach(&spawner->egress, slot->network_fd, request->reach, now_ns, &slot->link,
                          err);
        if (r < 0)
                err_prefix(err, "giving it a way out");
        return r;
}

/* Node can receive no descriptor: its heirloom is a file. */
static bool takes_snapshots(const struct spawned *spawned)
{
        return spawned->from_nursery && spawned->runtime == AGENT_RUNTIME_PYTHON3;
}

int spawner_assign(struct spawner *spawner, struct spawned *spawned,
                   const struct agent_spawn *request, int code_fd, int layers_fd,
                   const struct heirloom_lent *heirloom, struct err *err)
{
        const struct cgroup_limits limits = {
                .memory_bytes = request->memory_bytes,
                .process_max = request->process_max,
                .cpu_millis = request->cpu_millis,
        };
        uint64_t begun_ns = clock_now_ns();
        int r = cgroup_change_limits(&spawner->cgroups, &spawned->slot->group, &limits, err);

        if (r == 0)
                r = open_way_out(spawner, spawned->slot, request, begun_ns, err);
        if (r == 0)
                r = attach_code(spawner, spawned, request, code_fd, layers_fd, heirloom, err);
        if (r < 0)
                return r;
        r = send_boot(spawner, spawned, request, takes_snapshots(spawned) ? heirloom->fd : -1);
        if (r < 0)
                return err_errno(err, r, "telling the sandbox its function");
        fd_close(&spawned->mount_fd);
        spawned->phase_us[AGENT_PHASE_ASSIGN] = (uint32_t)((clock_now_ns() - begun_ns) / 1000);
        return 0;
}
