/* Asks magpie-agent for sandboxes; see agent_client.h and wire/agent_protocol.h. */
#include "adapters/agent_client/agent_client.h"

#include "base/auto.h"
#include "wire/agent_protocol.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORT_DEFAULT 8080
/* Facts that the environment has room for beside everything that an image and a function may say. */
#define FACTS_MAX 6
_Static_assert(IMAGE_ENV_MAX + ENV_MAX_COUNT + FACTS_MAX <= AGENT_ENV_MAX, "none is left out");
_Static_assert(IMAGE_WORDS_MAX <= AGENT_WORDS_MAX && IMAGE_TEXT_MAX <= AGENT_COMMAND_MAX &&
                       IMAGE_ID_MAX <= AGENT_ID_MAX,
               "the agent takes every image");
_Static_assert(ID_LENGTH == AGENT_FUNCTION_LENGTH, "the agent takes every function's id");

/* A message that waits for room. */
struct waiting_message {
        struct list link;
        size_t length;
        char bytes[];
};

static void agent_client_forget_waiting(struct agent_client *client)
{
        struct list *link;

        while ((link = list_pop_front(&client->waiting)))
                free(CONTAINER_OF(link, struct waiting_message, link));
}

static int agent_client_send_later(struct agent_client *client, const void *message, size_t length)
{
        struct waiting_message *waiting = malloc(sizeof(*waiting) + length);
        int r = waiting ? loop_modify(client->loop, &client->source, EPOLLIN | EPOLLOUT) : -ENOMEM;

        if (r < 0) {
                free(waiting);
                return r;
        }
        list_init(&waiting->link);
        waiting->length = length;
        memcpy(waiting->bytes, message, length);
        list_push_back(&client->waiting, &waiting->link);
        return 0;
}

/* The agent is never waited for: it may be busy with the disk, or stopped. */
static int agent_client_send(struct agent_client *client, const void *message, size_t length)
{
        if (list_is_empty(&client->waiting)) {
                if (send(client->channel_fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        return 0;
                if (errno != EAGAIN)
                        return -errno;
        }
        return agent_client_send_later(client, message, length);
}

static void agent_client_send_waiting(struct agent_client *client)
{
        struct list *link;

        while ((link = list_peek_front(&client->waiting))) {
                struct waiting_message *waiting = CONTAINER_OF(link, struct waiting_message, link);
                if (send(client->channel_fd, waiting->bytes, waiting->length,
                         MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                        if (errno !=
                            EAGAIN) /* a message is lost: so is the agent, and lost() tells */
                                (void)shutdown(client->channel_fd, SHUT_RDWR);
                        return;
                }
                list_remove(link);
                free(waiting);
        }
        (void)loop_modify(client->loop, &client->source, EPOLLIN);
}

static void agent_client_disconnect(struct agent_client *client)
{
        if (client->channel_fd < 0)
                return;
        agent_client_forget_waiting(client);
        loop_remove(client->loop, &client->source);
        /* Agent and supervisor shall see the end, though the supervisor keeps a duplicate. */
        (void)shutdown(client->channel_fd, SHUT_RDWR);
        fd_close(&client->channel_fd);
        client->listener->ops->lost(client->listener);
}

static enum sandbox_end sandbox_end_of(uint32_t cause)
{
        switch ((enum agent_exit_cause)cause) {
        case AGENT_EXIT_CODE:
                return SANDBOX_EXITED;
        case AGENT_EXIT_SIGNAL:
                return SANDBOX_SIGNALLED;
        case AGENT_EXIT_OUT_OF_MEMORY:
                return SANDBOX_OUT_OF_MEMORY;
        case AGENT_EXIT_KILLED:
                return SANDBOX_KILLED;
        }
        return SANDBOX_LOST;
}

/* What a stocked one takes is the function's limits and mounts; so where it was made on request, the
 * same is part of the mounts. */
static struct sandbox_making making_of(const struct agent_message *message)
{
        const uint32_t *phase_us = message->phase_us;
        bool was_made =
                message->code != AGENT_ORIGIN_SANDBOX && message->code != AGENT_ORIGIN_INTERPRETER;

        return (struct sandbox_making){
                .origin = was_made                                ? SANDBOX_MADE
                          : message->code == AGENT_ORIGIN_SANDBOX ? SANDBOX_FROM_STOCK
                                                                  : SANDBOX_WITH_INTERPRETER,
                .stock_us = was_made ? 0 : phase_us[AGENT_PHASE_ASSIGN],
                .cgroup_us = phase_us[AGENT_PHASE_CGROUP],
                .namespaces_us = phase_us[AGENT_PHASE_CLONE],
                .mounts_us =
                        phase_us[AGENT_PHASE_MOUNT] + (was_made ? phase_us[AGENT_PHASE_ASSIGN] : 0),
                .confine_us = phase_us[AGENT_PHASE_CONFINE],
                .exec_us = phase_us[AGENT_PHASE_EXEC],
        };
}

/* Takes the descriptors out of a control message into `ret_fds`; returns how many came. */
static size_t descriptors_take(struct msghdr *header, int ret_fds[AGENT_FD_COUNT])
{
        size_t count = 0;

        for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
             control = CMSG_NXTHDR(header, control)) {
                size_t here;
                if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
                        continue;
                here = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < here; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
                        if (count < AGENT_FD_COUNT)
                                ret_fds[count++] = fd;
                        else
                                fd_close(&fd);
                }
        }
        return count;
}

static bool agent_client_greeted(struct agent_client *client, int *groups_fd)
{
        if (*groups_fd < 0)
                return false;
        if (client->groups_fd < 0)
                client->groups_fd = fd_steal(groups_fd);
        else if (dup3(*groups_fd, client->groups_fd, O_CLOEXEC) < 0)
                return false;
        client->listener->ops->ready(client->listener);
        return true;
}

/* False for what an agent does not say. */
static bool agent_client_handle(struct agent_client *client, const struct agent_message *message,
                                const char *extra, int fds[AGENT_FD_COUNT], size_t fd_count)
{
        struct sandbox_listener *listener = client->listener;

        switch ((enum agent_message_type)message->type) {
        case AGENT_HELLO:
                return message->code == AGENT_PROTOCOL_VERSION && fd_count == 1 &&
                       agent_client_greeted(client, &fds[0]);
        case AGENT_SPAWNED: {
                struct sandbox_making making = making_of(message);
                struct sandbox_descriptors descriptors = {
                        .socket = fds[AGENT_FD_SOCKET],
                        .worker = fds[AGENT_FD_WORKER],
                        .log = fds[AGENT_FD_LOG],
                        .group = message->group,
                };
                if (fd_count != AGENT_FD_COUNT) { /* no room for more: this one sandbox is lost */
                        client->host.ops->kill(&client->host, message->instance_id);
                        listener->ops->refused(listener, message->instance_id,
                                               "The server has no descriptors left.");
                        return true;
                }
                listener->ops->made(listener, message->instance_id, &descriptors, &making);
                for (size_t i = 0; i < AGENT_FD_COUNT; i++)
                        fds[i] = -1;
                return true;
        }
        case AGENT_REFUSED:
                listener->ops->refused(listener, message->instance_id, extra);
                return true;
        case AGENT_EXITED:
                listener->ops->ended(listener, message->instance_id, sandbox_end_of(message->cause),
                                     (int)message->code, message->memory_bytes);
                return true;
        case AGENT_STOCK: {
                struct sandbox_stock stock = {
                        .bare = message->parked[0],
                        .python3 = message->parked[AGENT_RUNTIME_PYTHON3],
                        .node = message->parked[AGENT_RUNTIME_NODE],
                };
                listener->ops->stocked(listener, &stock);
                return true;
        }
        case AGENT_SPAWN:
        case AGENT_KILL:
        case AGENT_COURTESY:
                return false;
        }
        return false;
}

/* One message; false when there is none, or the agent is gone. */
static bool agent_client_receive(struct agent_client *client)
{
        int fds[AGENT_FD_COUNT] = {-1, -1, -1};
        char control[CMSG_SPACE(sizeof(int) * 8)];
        struct iovec part = {.iov_base = client->message, .iov_len = AGENT_MESSAGE_MAX};
        struct msghdr header = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control,
                                .msg_controllen = sizeof(control)};
        struct agent_message message;
        const char *extra;
        ssize_t length = recvmsg(client->channel_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        bool fine;

        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        size_t fd_count = length > 0 ? descriptors_take(&header, fds) : 0;
        fine = length > 0 &&
               agent_message_decode(client->message, (size_t)length, &message, &extra) == 0 &&
               agent_client_handle(client, &message, extra, fds, fd_count);
        for (size_t i = 0; i < AGENT_FD_COUNT; i++)
                fd_close(&fds[i]);
        if (!fine)
                agent_client_disconnect(client);
        return fine;
}

static void agent_client_on_event(struct loop_source *source, uint32_t events)
{
        struct agent_client *client = CONTAINER_OF(source, struct agent_client, source);

        if (events & EPOLLOUT)
                agent_client_send_waiting(client);
        while (client->channel_fd >= 0 && agent_client_receive(client))
                ;
}

/* `assignment`: a name and its '='. */
static bool function_sets(const struct function *function, const char *assignment)
{
        for (size_t i = 0; i < function->env_count; i++)
                if (strncmp(function->env[i], assignment, strlen(assignment)) == 0)
                        return true;
        return false;
}

static void add_env(struct agent_spawn *spawn, size_t count, char *const *env)
{
        for (size_t i = 0; i < count; i++)
                spawn->env[spawn->env_count++] = env[i];
}

/* What the platform says of the function; the texts lie in `facts`. */
struct facts {
        char name[sizeof("MAGPIE_FUNCTION_NAME=") + NAME_MAX_LENGTH];
        char version[48], memory[48], timeout[48], heap[64];
        char service[sizeof("K_SERVICE=") + NAME_MAX_LENGTH];
        char configuration[sizeof("K_CONFIGURATION=") + NAME_MAX_LENGTH];
        char revision[sizeof("K_REVISION=") + NAME_MAX_LENGTH + 24];
};

/* What Knative's runtime contract calls function and version, for servers in images that look for it. */
static void add_knative(struct agent_spawn *spawn, struct facts *facts,
                        const struct function *function)
{
        char *const all[] = {facts->service, facts->configuration, facts->revision};

        (void)snprintf(facts->service, sizeof(facts->service), "K_SERVICE=%s", function->name);
        (void)snprintf(facts->configuration, sizeof(facts->configuration), "K_CONFIGURATION=%s",
                       function->name);
        (void)snprintf(facts->revision, sizeof(facts->revision), "K_REVISION=%s-%05llu",
                       function->name, (unsigned long long)function->version);
        add_env(spawn, sizeof(all) / sizeof(all[0]), all);
}

static void add_facts(struct agent_spawn *spawn, struct facts *facts,
                      const struct function *function)
{
        char *const all[] = {facts->name, facts->version, facts->memory, facts->timeout};

        (void)snprintf(facts->name, sizeof(facts->name), "MAGPIE_FUNCTION_NAME=%s", function->name);
        (void)snprintf(facts->version, sizeof(facts->version), "MAGPIE_FUNCTION_VERSION=%llu",
                       (unsigned long long)function->version);
        (void)snprintf(facts->memory, sizeof(facts->memory), "MAGPIE_MEMORY_BYTES=%llu",
                       (unsigned long long)function->memory_bytes);
        (void)snprintf(facts->timeout, sizeof(facts->timeout), "MAGPIE_TIMEOUT_MS=%u",
                       function->timeout_ms);
        add_env(spawn, sizeof(all) / sizeof(all[0]), all);
        /* V8 would size its heap by the host's memory. Told the limit, it collects garbage in time; and
         * where there is none, the kernel's counter says so before V8 gives up by itself. */
        if (function->runtime == RUNTIME_NODE && !function_sets(function, "NODE_OPTIONS=")) {
                (void)snprintf(facts->heap, sizeof(facts->heap),
                               "NODE_OPTIONS=--max-old-space-size=%llu",
                               (unsigned long long)function->memory_bytes >> 20);
                spawn->env[spawn->env_count++] = facts->heap;
        }
        if (spawn->verify)
                spawn->env[spawn->env_count++] = "MAGPIE_VERIFY=1";
}

/* 0, or -EINVAL for an image that has not been pulled. */
static int add_image(struct agent_spawn *spawn, const struct function *function)
{
        static const enum agent_contract contracts[] = {
                [CONTRACT_NONE] = AGENT_CONTRACT_EXEC,
                [CONTRACT_EXEC] = AGENT_CONTRACT_EXEC,
                [CONTRACT_HTTP] = AGENT_CONTRACT_HTTP,
                [CONTRACT_LAMBDA] = AGENT_CONTRACT_LAMBDA,
        };
        const struct image *image = function->image;

        if (!image)
                return -EINVAL;
        spawn->contract = contracts[function->contract];
        if (spawn->contract == AGENT_CONTRACT_HTTP)
                spawn->port = function->port != 0 ? function->port : PORT_DEFAULT;
        spawn->user = image->user;
        spawn->user_group = image->group;
        spawn->directory = image->directory;
        spawn->word_count = image->word_count;
        for (size_t i = 0; i < image->word_count; i++)
                spawn->words[i] = image->words[i];
        add_env(spawn, image->env_count, image->env);
        return 0;
}

/* What comes later in the environment beats what came before. */
static int agent_client_make(struct sandbox_host *host, const struct sandbox_order *order)
{
        static const enum agent_runtime runtimes[] = {
                [RUNTIME_PYTHON3] = AGENT_RUNTIME_PYTHON3,   [RUNTIME_NODE] = AGENT_RUNTIME_NODE,
                [RUNTIME_NATIVE] = AGENT_RUNTIME_NATIVE,     [RUNTIME_EXEC] = AGENT_RUNTIME_EXEC,
                [RUNTIME_PROVIDED] = AGENT_RUNTIME_PROVIDED, [RUNTIME_IMAGE] = AGENT_RUNTIME_IMAGE,
        };
        struct agent_client *client = CONTAINER_OF(host, struct agent_client, host);
        const struct function *function = order->function;
        struct agent_spawn spawn = {
                .instance_id = order->instance_id,
                .runtime = runtimes[function->runtime],
                .memory_bytes = function->memory_bytes,
                .tmp_bytes = function->tmp_bytes,
                .cpu_millis = function->cpu_millis,
                .process_max = 256,
                .verify = order->verify,
                .plain = function->starts_plainly,
                .digest = order->code,
                .handler = function->handler,
                .layers = function->layers_digest,
                .function = function->id,
                .network = function->network == NETWORK_EGRESS ? AGENT_NETWORK_EGRESS
                                                               : AGENT_NETWORK_NONE,
        };
        struct facts facts;
        int r = 0, length;

        if (client->channel_fd < 0)
                return -ENOTCONN;
        if (function->runtime == RUNTIME_IMAGE)
                r = add_image(&spawn, function);
        if (r < 0)
                return r;
        if (spawn.contract == AGENT_CONTRACT_HTTP)
                add_knative(&spawn, &facts, function);
        if (reach_resolve(slice_of(function->reach), client->reach, &spawn.reach, NULL) < 0)
                spawn.reach |= AGENT_REACH_UNKNOWN;
        add_env(&spawn, function->env_count, function->env);
        add_facts(&spawn, &facts, function);

        length = agent_spawn_encode(&spawn, client->message, AGENT_MESSAGE_MAX);
        if (length < 0)
                return length;
        r = agent_client_send(client, client->message, (size_t)length);
        return r == -EPIPE || r == -ECONNRESET ? -ENOTCONN : r;
}

static void agent_client_kill(struct sandbox_host *host, uint64_t instance_id)
{
        struct agent_client *client = CONTAINER_OF(host, struct agent_client, host);
        struct agent_message message = {.type = AGENT_KILL, .instance_id = instance_id};

        /* Where it can be sent neither now nor later the agent shall be gone, and the sandboxes with it:
         * lost() tells. */
        if (client->channel_fd >= 0 && agent_client_send(client, &message, sizeof(message)) < 0)
                (void)shutdown(client->channel_fd, SHUT_RDWR);
}

static void agent_client_set_courtesy(struct sandbox_host *host, uint64_t instance_id, bool polite)
{
        struct agent_client *client = CONTAINER_OF(host, struct agent_client, host);
        struct agent_message message = {
                .type = AGENT_COURTESY, .code = polite, .instance_id = instance_id};

        if (client->channel_fd >= 0)
                (void)agent_client_send(client, &message, sizeof(message));
}

/* Opened for each write: a descriptor more an instance would be a quarter less of instances where
 * descriptors are what bounds them. */
static int agent_client_set_frozen(const struct sandbox_host *host, uint64_t group, bool frozen)
{
        const struct agent_client *client = CONTAINER_OF(host, struct agent_client, host);
        AUTO(fd_close) int fd = -1;
        char path[40];

        (void)snprintf(path, sizeof(path), "%llu/cgroup.freeze", (unsigned long long)group);
        fd = openat(client->groups_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 || write(fd, frozen ? "1" : "0", 1) < 0 ? -errno : 0;
}

static const struct sandbox_host_ops agent_client_ops = {
        .make = agent_client_make,
        .kill = agent_client_kill,
        .set_courtesy = agent_client_set_courtesy,
        .set_frozen = agent_client_set_frozen,
};

int agent_client_init(struct agent_client *client, struct loop *loop,
                      struct sandbox_listener *listener, const struct reach_names *reach)
{
        *client = (struct agent_client){.host = {.ops = &agent_client_ops},
                                        .listener = listener,
                                        .loop = loop,
                                        .reach = reach,
                                        .channel_fd = -1,
                                        .groups_fd = -1,
                                        .message = malloc(AGENT_MESSAGE_MAX)};
        loop_source_init(&client->source, agent_client_on_event);
        list_init(&client->waiting);
        return client->message ? 0 : -ENOMEM;
}

void agent_client_deinit(struct agent_client *client)
{
        loop_remove(client->loop, &client->source);
        agent_client_forget_waiting(client);
        fd_close(&client->channel_fd);
        fd_close(&client->groups_fd);
        free(client->message);
        client->message = NULL;
}

void agent_client_connect(struct agent_client *client, int channel_fd)
{
        struct agent_message hello = {.type = AGENT_HELLO, .code = AGENT_PROTOCOL_VERSION};

        agent_client_disconnect(client);
        client->channel_fd = channel_fd;
        if (loop_add(client->loop, &client->source, channel_fd, EPOLLIN) < 0 ||
            agent_client_send(client, &hello, sizeof(hello)) < 0)
                agent_client_disconnect(client);
}
