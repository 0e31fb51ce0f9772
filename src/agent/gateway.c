/* Requests and answers; see gateway.h. */
#include "agent/gateway.h"

#include "agent/courtesy.h"
#include "agent/runtime.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Thousands of unread answers fit; a gateway that leaves more is not coming back. */
#define SEND_BUFFER_SIZE (16 << 20)

/* The answer, `extra` and descriptors as one message. A gateway that does not read its answers is
 * ended: the agent never waits for it. */
static void send_answer(struct gateway *gateway, const struct agent_message *answer,
                        const char *extra, const int *fds, size_t fd_count)
{
        struct iovec parts[] = {
                {.iov_base = (void *)(uintptr_t)answer, .iov_len = sizeof(*answer)},
                {.iov_base = (void *)(uintptr_t)extra, .iov_len = answer->extra_length},
        };
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(AGENT_FD_COUNT * sizeof(int))];
        } control = {0};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

        if (fd_count > 0) {
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
                memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        }
        if (sendmsg(gateway->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                /* Not ended here: the caller may be walking the gateway's instances. */
                gateway->state = GATEWAY_BROKEN;
                (void)shutdown(gateway->fd, SHUT_RDWR);
        }
}

static void refuse(struct gateway *gateway, uint64_t instance_id, const struct err *err)
{
        struct agent_message answer = {
                .type = AGENT_REFUSED,
                .code = (uint32_t)-err->code,
                .instance_id = instance_id,
                .extra_length = (uint32_t)strlen(err->text) + 1,
        };

        send_answer(gateway, &answer, err->text, NULL, 0);
}

void gateway_send_exited(struct gateway *gateway, const struct instance *instance)
{
        struct agent_message answer = {
                .type = AGENT_EXITED,
                .code = instance->code,
                .instance_id = instance->id,
                .cause = instance->cause,
                .memory_bytes = instance->memory_peak,
        };

        send_answer(gateway, &answer, NULL, NULL, 0);
}

/* Where a kind counts in agent_message.parked. */
static size_t stock_figure(const struct stock_kind *kind)
{
        return runtime_can_park(kind->runtime) ? (size_t)kind->runtime : 0;
}

static void tell_stock(struct gateway *gateway)
{
        const struct stock *stock = &gateway->agent->stock;
        struct agent_message message = {.type = AGENT_STOCK};

        for (size_t i = 0; i < stock->kind_count; i++)
                message.parked[stock_figure(&stock->kinds[i])] += (uint32_t)stock->kinds[i].count;
        if (memcmp(gateway->told, message.parked, sizeof(gateway->told)) == 0)
                return;
        memcpy(gateway->told, message.parked, sizeof(gateway->told));
        send_answer(gateway, &message, NULL, NULL, 0);
}

void gateway_tell_stock(struct agent *agent)
{
        struct gateway *gateway;

        LIST_FOR_EACH (gateway, &agent->gateways, link)
                if (gateway->state == GATEWAY_GREETED)
                        tell_stock(gateway);
}

static int on_hello(struct gateway *gateway, const struct agent_message *request, const char *extra)
{
        struct agent_message answer = {.type = AGENT_HELLO, .code = AGENT_PROTOCOL_VERSION};
        AUTO(fd_close) int groups_fd = -1;

        (void)extra;
        if (request->code != AGENT_PROTOCOL_VERSION || request->extra_length != 0 ||
            !gateway->is_known)
                return -EPROTO;
        groups_fd = cgroup_open_parent(&gateway->agent->spawner.cgroups);
        if (groups_fd < 0) {
                log_error("opening the folder of all sandboxes' groups: %s", strerror(-groups_fd));
                return groups_fd;
        }
        gateway->state = GATEWAY_GREETED;
        send_answer(gateway, &answer, NULL, &groups_fd, 1);
        tell_stock(gateway);
        return 0;
}

static enum agent_origin origin_of(const struct instance *instance)
{
        bool awaits_birth = !list_is_empty(&instance->by_birth);

        if (instance->made.phase_us[AGENT_PHASE_CLONE] > 0)
                return AGENT_ORIGIN_REQUEST;
        return instance->made.has_interpreter && !awaits_birth ? AGENT_ORIGIN_INTERPRETER
                                                               : AGENT_ORIGIN_SANDBOX;
}

static int on_spawn(struct gateway *gateway, const struct agent_message *request, const char *extra)
{
        struct agent *agent = gateway->agent;
        struct agent_message answer = {.type = AGENT_SPAWNED, .instance_id = request->instance_id};
        uint64_t begun_ns = clock_now_ns();
        struct agent_spawn spawn;
        struct instance *instance;
        struct err err = {0};

        if (agent_spawn_decode(request, extra, &spawn) < 0 ||
            agent_find_instance(agent, gateway, request->instance_id))
                return -EPROTO;
        if (instance_spawn(agent, gateway, &spawn, &instance, &err) < 0) {
                refuse(gateway, request->instance_id, &err);
                return 0;
        }
        answer.code = origin_of(instance);
        memcpy(answer.phase_us, instance->made.phase_us, sizeof(answer.phase_us));
        answer.group = instance->made.slot->group.number;
        answer.phase_us[AGENT_PHASE_TOTAL] = (uint32_t)((clock_now_ns() - begun_ns) / 1000);
        send_answer(gateway, &answer, NULL, instance->made.fds, AGENT_FD_COUNT);
        spawned_close_fds(&instance->made);
        return 0;
}

static int on_kill(struct gateway *gateway, const struct agent_message *request, const char *extra)
{
        struct instance *instance =
                agent_find_instance(gateway->agent, gateway, request->instance_id);

        (void)extra;
        if (request->extra_length != 0)
                return -EPROTO;
        if (instance)
                instance_kill(instance);
        return 0;
}

/* What cannot be done costs time alone: it is said once. */
static void set_courtesy(struct gateway *gateway, const struct instance *instance, bool polite)
{
        int r = courtesy_set(&gateway->agent->spawner.cgroups, &instance->made.slot->group, polite);

        if (r < 0 && !gateway->told_of_courtesy)
                log_warn("setting how functions wake up: %s (those called often will be slower)",
                         strerror(-r));
        gateway->told_of_courtesy = gateway->told_of_courtesy || r < 0;
}

static int on_courtesy(struct gateway *gateway, const struct agent_message *request,
                       const char *extra)
{
        struct instance *instance =
                agent_find_instance(gateway->agent, gateway, request->instance_id);

        (void)extra;
        if (request->extra_length != 0 || request->code > 1)
                return -EPROTO;
        if (instance)
                set_courtesy(gateway, instance, request->code == 1);
        return 0;
}

/* Everything that may be asked of root. */
static const struct {
        enum agent_message_type request;
        enum gateway_state allowed_in;
        int (*handle)(
                struct gateway *gateway, const struct agent_message *request,
                const char *extra); /* 0; -EPROTO: it may not be asked; an errno: logged, and it
                                             cannot be done. Both end the connection */
} permitted[] = {
        {AGENT_HELLO, GATEWAY_NEW, on_hello},
        {AGENT_SPAWN, GATEWAY_GREETED, on_spawn},
        {AGENT_KILL, GATEWAY_GREETED, on_kill},
        {AGENT_COURTESY, GATEWAY_GREETED, on_courtesy},
};

static int dispatch(struct gateway *gateway, const char *bytes, size_t length)
{
        struct agent_message request;
        const char *extra;
        int r = agent_message_decode(bytes, length, &request, &extra);

        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(permitted) / sizeof(permitted[0]); i++)
                if (request.type == permitted[i].request &&
                    gateway->state == permitted[i].allowed_in)
                        return permitted[i].handle(gateway, &request, extra);
        return -EPROTO;
}

/* As recv(2). Who greets is told by the kernel: the socket pair itself is the supervisor's making. It
 * notes the sender of what is sent once one end has SO_PASSCRED; of what was sent before it says that
 * it was process 0, of the user whose number stands for all that have none. */
static ssize_t receive(struct gateway *gateway, char *bytes, size_t capacity)
{
        struct iovec part = {.iov_base = bytes, .iov_len = capacity};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(struct ucred))];
        } control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t length = recvmsg(gateway->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        struct ucred sender;

        if (gateway->state == GATEWAY_NEW && header && header->cmsg_level == SOL_SOCKET &&
            header->cmsg_type == SCM_CREDENTIALS) {
                memcpy(&sender, CMSG_DATA(header), sizeof(sender));
                gateway->user = sender.uid;
                gateway->is_known = sender.pid != 0;
        }
        return length;
}

static void gateway_on_event(struct loop_source *source, uint32_t events)
{
        struct gateway *gateway = CONTAINER_OF(source, struct gateway, source);
        char *bytes = gateway->agent->request;
        ssize_t length = receive(gateway, bytes, sizeof(gateway->agent->request));
        int r;

        (void)events;
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (length <= 0) {
                gateway_end(gateway, NULL);
                return;
        }
        r = dispatch(gateway, bytes, (size_t)length);
        if (r < 0)
                gateway_end(gateway, r == -EPROTO ? "it asked for something that is not permitted"
                                                  : strerror(-r));
}

void gateway_end(struct gateway *gateway, const char *why)
{
        struct agent *agent = gateway->agent;
        struct instance *instance, *after;

        if (why)
                log_warn("ending a gateway's connection: %s", why);
        LIST_FOR_EACH_SAFE (instance, after, &gateway->instances, by_gateway) {
                list_remove(&instance->by_gateway);
                instance->gateway = NULL;
                instance_kill(instance);
        }
        loop_remove(&agent->loop, &gateway->source);
        fd_close(&gateway->fd);
        list_remove(&gateway->link);
        free(gateway);
        agent_check_end(agent);
}

int gateway_accept(struct agent *agent, int fd)
{
        AUTO(fd_close) int owned_fd = fd;
        AUTO(memory_free) struct gateway *gateway = calloc(1, sizeof(*gateway));
        const int size = SEND_BUFFER_SIZE;
        int r;

        if (!gateway)
                return -ENOMEM;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                return -errno;
        gateway->agent = agent;
        gateway->state = GATEWAY_NEW;
        gateway->fd = fd;
        list_init(&gateway->instances);
        loop_source_init(&gateway->source, gateway_on_event);
        r = loop_add(&agent->loop, &gateway->source, fd, EPOLLIN);
        if (r < 0)
                return r;
        (void)fd_steal(&owned_fd);
        list_init(&gateway->link);
        list_push_back(&agent->gateways, &gateway->link);
        (void)memory_steal(&gateway);
        return 0;
}
