/* Messages between gateway and agent; see agent_protocol.h. */
#include "wire/agent_protocol.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

int agent_message_decode(const void *message, size_t length, struct agent_message *ret_message,
                         const char **ret_extra)
{
        struct agent_message decoded;

        if (length < sizeof(decoded) || length > AGENT_MESSAGE_MAX)
                return -EPROTO;
        memcpy(&decoded, message, sizeof(decoded));
        if (decoded.type < AGENT_HELLO || decoded.type > AGENT_COURTESY)
                return -EPROTO;
        if (decoded.extra_length != length - sizeof(decoded))
                return -EPROTO;

        *ret_message = decoded;
        *ret_extra = (const char *)message + sizeof(decoded);
        return 0;
}

/* Takes one NUL-terminated string off the front; NULL where there is none. */
static const char *next_string(const char **at, const char *end)
{
        const char *text = *at;
        const char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;

        if (!nul)
                return NULL;
        *at = nul + 1;
        return text;
}

static int check_limits(const struct agent_message *message)
{
        if (message->runtime < AGENT_RUNTIME_PYTHON3 || message->runtime > AGENT_RUNTIME_IMAGE)
                return -EPROTO;
        if (message->memory_bytes < AGENT_MEMORY_MIN || message->memory_bytes > AGENT_MEMORY_MAX)
                return -EPROTO;
        if (message->tmp_bytes < AGENT_TMP_MIN || message->tmp_bytes > AGENT_MEMORY_MAX)
                return -EPROTO;
        if (message->process_max < AGENT_PROCESS_MIN || message->process_max > AGENT_PROCESS_MAX)
                return -EPROTO;
        if (message->cpu_millis != 0 && (message->cpu_millis < AGENT_CPU_MILLIS_MIN ||
                                         message->cpu_millis > AGENT_CPU_MILLIS_MAX))
                return -EPROTO;
        if (message->network > AGENT_NETWORK_EGRESS ||
            message->reach >> (AGENT_REACH_MAX + 1) != 0 ||
            (message->network == AGENT_NETWORK_NONE && message->reach != 0) || message->unused != 0)
                return -EPROTO;
        if (message->flags & ~(uint32_t)(AGENT_SPAWN_VERIFY | AGENT_SPAWN_PLAIN))
                return -EPROTO;
        return 0;
}

/* What an image says about its program, and what no other runtime may say. */
static int check_image(const struct agent_message *message)
{
        if (message->runtime != AGENT_RUNTIME_IMAGE)
                return message->contract || message->port || message->user || message->user_group ||
                                       message->word_count
                               ? -EPROTO
                               : 0;
        if (message->contract < AGENT_CONTRACT_EXEC || message->contract > AGENT_CONTRACT_LAMBDA)
                return -EPROTO;
        if (message->contract == AGENT_CONTRACT_HTTP
                    ? message->port == 0 || message->port > AGENT_PORT_MAX
                    : message->port != 0)
                return -EPROTO;
        if (message->user > AGENT_ID_MAX || message->user_group > AGENT_ID_MAX)
                return -EPROTO;
        return message->word_count == 0 || message->word_count > AGENT_WORDS_MAX ? -EPROTO : 0;
}

/* A path below /code that cannot lead out of it by its letters; links are the kernel's business. */
static bool is_handler(const char *handler)
{
        size_t length = strlen(handler);
        const char *part = handler;

        if (length > AGENT_HANDLER_MAX || handler[0] == '/')
                return false;
        for (;;) {
                size_t part_length = strcspn(part, "/");
                if (part_length == 2 && part[0] == '.' && part[1] == '.')
                        return false;
                if (part[part_length] == '\0')
                        return true;
                part += part_length + 1;
        }
}

static bool is_digest(const char *text)
{
        return strlen(text) == AGENT_DIGEST_LENGTH && hex_is_valid(text, AGENT_DIGEST_LENGTH);
}

static bool is_function(const char *text)
{
        return strlen(text) == AGENT_FUNCTION_LENGTH &&
               strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == AGENT_FUNCTION_LENGTH;
}

/* Folder and command line. Where they lead is the kernel's business, inside of the image. */
static int take_command(const char **at, const char *end, size_t word_count,
                        struct agent_spawn *spawn)
{
        const char *begin = *at;

        spawn->directory = next_string(at, end);
        if (!spawn->directory || spawn->directory[0] != '/')
                return -EPROTO;
        for (; spawn->word_count < word_count; spawn->word_count++) {
                const char *word = next_string(at, end);
                if (!word || (spawn->word_count == 0 && word[0] == '\0'))
                        return -EPROTO;
                spawn->words[spawn->word_count] = word;
        }
        return *at - begin > AGENT_COMMAND_MAX ? -EPROTO : 0;
}

static int take_environment(const char **at, const char *end, struct agent_spawn *spawn)
{
        while (*at < end) {
                const char *assignment = next_string(at, end);
                const char *equals = assignment ? strchr(assignment, '=') : NULL;
                if (!equals || equals == assignment || spawn->env_count == AGENT_ENV_MAX)
                        return -EPROTO;
                spawn->env[spawn->env_count++] = assignment;
        }
        return 0;
}

int agent_spawn_decode(const struct agent_message *message, const char *extra,
                       struct agent_spawn *ret_spawn)
{
        const char *at = extra, *end = extra + message->extra_length;
        struct agent_spawn spawn = {
                .instance_id = message->instance_id,
                .runtime = (enum agent_runtime)message->runtime,
                .memory_bytes = message->memory_bytes,
                .tmp_bytes = message->tmp_bytes,
                .cpu_millis = message->cpu_millis,
                .process_max = message->process_max,
                .verify = message->flags & AGENT_SPAWN_VERIFY,
                .plain = message->flags & AGENT_SPAWN_PLAIN,
                .network = (enum agent_network)message->network,
                .reach = message->reach,
                .contract = (enum agent_contract)message->contract,
                .port = message->port,
                .user = message->user,
                .user_group = message->user_group,
        };
        int r = check_limits(message);

        if (r == 0)
                r = check_image(message);
        if (r < 0)
                return r;
        spawn.digest = next_string(&at, end);
        if (!spawn.digest || !is_digest(spawn.digest))
                return -EPROTO;
        spawn.handler = next_string(&at, end);
        if (!spawn.handler || !is_handler(spawn.handler))
                return -EPROTO;
        /* An image has none. */
        spawn.layers = next_string(&at, end);
        if (!spawn.layers || (spawn.layers[0] != '\0' &&
                              (spawn.runtime == AGENT_RUNTIME_IMAGE || !is_digest(spawn.layers))))
                return -EPROTO;
        spawn.function = next_string(&at, end);
        if (!spawn.function || (spawn.function[0] != '\0' && !is_function(spawn.function)))
                return -EPROTO;
        if (spawn.runtime == AGENT_RUNTIME_IMAGE)
                r = take_command(&at, end, message->word_count, &spawn);
        if (r == 0)
                r = take_environment(&at, end, &spawn);
        if (r < 0)
                return r;

        *ret_spawn = spawn;
        return 0;
}

/* Appends `text` with its NUL; false where there is no room left. */
static bool put_string(char *data, size_t capacity, size_t *used, const char *text)
{
        size_t length = strlen(text) + 1;

        if (length > capacity - *used)
                return false;
        memcpy(data + *used, text, length);
        *used += length;
        return true;
}

static bool put_strings(char *data, size_t capacity, size_t *used, const char *const *strings,
                        size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!put_string(data, capacity, used, strings[i]))
                        return false;
        return true;
}

int agent_spawn_encode(const struct agent_spawn *spawn, void *ret_message, size_t capacity)
{
        struct agent_message message = {
                .type = AGENT_SPAWN,
                .instance_id = spawn->instance_id,
                .runtime = spawn->runtime,
                .memory_bytes = spawn->memory_bytes,
                .tmp_bytes = spawn->tmp_bytes,
                .cpu_millis = spawn->cpu_millis,
                .process_max = spawn->process_max,
                .flags = (spawn->verify ? AGENT_SPAWN_VERIFY : 0u) |
                         (spawn->plain ? AGENT_SPAWN_PLAIN : 0u),
                .network = spawn->network,
                .reach = spawn->reach,
                .contract = spawn->contract,
                .port = spawn->port,
                .user = spawn->user,
                .user_group = spawn->user_group,
                .word_count = (uint32_t)spawn->word_count,
        };
        char *data = ret_message;
        size_t used = sizeof(message);

        if (capacity > AGENT_MESSAGE_MAX)
                capacity = AGENT_MESSAGE_MAX;
        if (capacity < used || spawn->env_count > AGENT_ENV_MAX ||
            spawn->word_count > AGENT_WORDS_MAX ||
            !put_string(data, capacity, &used, spawn->digest) ||
            !put_string(data, capacity, &used, spawn->handler) ||
            !put_string(data, capacity, &used, spawn->layers) ||
            !put_string(data, capacity, &used, spawn->function) ||
            (spawn->directory && !put_string(data, capacity, &used, spawn->directory)) ||
            !put_strings(data, capacity, &used, spawn->words, spawn->word_count) ||
            !put_strings(data, capacity, &used, spawn->env, spawn->env_count))
                return -EMSGSIZE;
        message.extra_length = (uint32_t)(used - sizeof(message));
        memcpy(data, &message, sizeof(message));
        return (int)used;
}
