/* Requests to the only root process: what is accepted is within every bound, and encodes back to
 * the same bytes. */
#include "fuzzing.h"
#include "wire/agent_protocol.h"

/* Fields of the head that a SPAWN does not use need not be zero to be accepted. */
static void clear_unused(struct agent_message *message)
{
        message->code = message->cause = 0;
        message->group = 0;
        memset(message->phase_us, 0, sizeof(message->phase_us));
}

static void check_spawn(const struct agent_message *message, const struct agent_spawn *spawn)
{
        static char encoded[AGENT_MESSAGE_MAX];
        struct agent_message head = *message;
        int length = agent_spawn_encode(spawn, encoded, sizeof(encoded));

        FUZZ_EXPECT(spawn->memory_bytes >= AGENT_MEMORY_MIN &&
                    spawn->memory_bytes <= AGENT_MEMORY_MAX);
        FUZZ_EXPECT(spawn->process_max >= AGENT_PROCESS_MIN &&
                    spawn->process_max <= AGENT_PROCESS_MAX);
        FUZZ_EXPECT(strlen(spawn->digest) == AGENT_DIGEST_LENGTH && !strchr(spawn->digest, '/') &&
                    !strchr(spawn->digest, '.'));
        FUZZ_EXPECT(strlen(spawn->handler) <= AGENT_HANDLER_MAX && spawn->handler[0] != '/');
        if (spawn->runtime == AGENT_RUNTIME_IMAGE) {
                FUZZ_EXPECT(spawn->directory[0] == '/' && spawn->words[0][0] != '\0');
                FUZZ_EXPECT(spawn->word_count >= 1 && spawn->word_count <= AGENT_WORDS_MAX);
                FUZZ_EXPECT(spawn->user <= AGENT_ID_MAX && spawn->user_group <= AGENT_ID_MAX);
        } else {
                FUZZ_EXPECT(!spawn->directory && spawn->word_count == 0 && spawn->user == 0);
        }
        FUZZ_EXPECT(strlen(spawn->layers) == 0 || (strlen(spawn->layers) == AGENT_DIGEST_LENGTH &&
                                                   !strpbrk(spawn->layers, "/.")));
        FUZZ_EXPECT(strlen(spawn->function) == 0 ||
                    (strlen(spawn->function) == AGENT_FUNCTION_LENGTH &&
                     !strpbrk(spawn->function, "/.=")));
        for (size_t i = 0; i < spawn->env_count; i++)
                FUZZ_EXPECT(strchr(spawn->env[i], '=') > spawn->env[i]);

        FUZZ_EXPECT(length == (int)(sizeof(head) + message->extra_length));
        clear_unused(&head);
        FUZZ_EXPECT(memcmp(encoded, &head, sizeof(head)) == 0);
        FUZZ_EXPECT(memcmp(encoded + sizeof(head), spawn->digest, message->extra_length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *bytes = fuzz_copy(data, size);
        struct agent_message message;
        struct agent_spawn spawn;
        const char *extra;

        if (agent_message_decode(bytes, size, &message, &extra) == 0) {
                FUZZ_EXPECT(extra + message.extra_length == bytes + size);
                if (message.type == AGENT_SPAWN && agent_spawn_decode(&message, extra, &spawn) == 0)
                        check_spawn(&message, &spawn);
        }
        free(bytes);
        return 0;
}
