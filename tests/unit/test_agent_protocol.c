/* What the only root process accepts: exactly what agent_protocol.h allows. */
#include "wire/agent_protocol.h"

#include "testing.h"

#include <errno.h>
#include <string.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FUNCTION "01HF7YAT00ZZZZZZZZZZZZZZZZ"

static const struct agent_spawn sample = {
        .instance_id = 7,
        .runtime = AGENT_RUNTIME_NATIVE,
        .memory_bytes = 128 << 20,
        .tmp_bytes = 64 << 20,
        .cpu_millis = 1500,
        .process_max = 64,
        .verify = true,
        .network = AGENT_NETWORK_EGRESS,
        .reach = 5,
        .digest = DIGEST,
        .handler = "bin/hello",
        .layers = DIGEST,
        .function = FUNCTION,
        .env_count = 2,
        .env = {"A=1", "B="},
};

static const struct agent_spawn image = {
        .instance_id = 8,
        .runtime = AGENT_RUNTIME_IMAGE,
        .memory_bytes = 128 << 20,
        .tmp_bytes = 64 << 20,
        .process_max = 64,
        .digest = DIGEST,
        .handler = "",
        .layers = "",
        .function = FUNCTION,
        .network = AGENT_NETWORK_EGRESS,
        .contract = AGENT_CONTRACT_HTTP,
        .port = 8080,
        .user = 33,
        .user_group = 65535,
        .directory = "/srv",
        .word_count = 3,
        .words = {"server", "", "A=1"},
        .env_count = 1,
        .env = {"PATH=/bin"},
};

static _Alignas(struct agent_message) char wire[AGENT_MESSAGE_MAX];

static int decode(size_t length, struct agent_spawn *ret_spawn)
{
        struct agent_message message;
        const char *extra;
        int r = agent_message_decode(wire, length, &message, &extra);

        return r < 0 ? r : agent_spawn_decode(&message, extra, ret_spawn);
}

/* Encodes, then decodes. */
static int pass(const struct agent_spawn *spawn, struct agent_spawn *ret_spawn)
{
        int length = agent_spawn_encode(spawn, wire, sizeof(wire));

        ck_assert_int_gt(length, 0);
        return decode((size_t)length, ret_spawn);
}

TEST(a_spawn_comes_out_as_it_went_in)
{
        struct agent_spawn spawn;

        ck_assert_int_eq(pass(&sample, &spawn), 0);
        ck_assert_uint_eq(spawn.instance_id, 7);
        ck_assert_int_eq(spawn.runtime, AGENT_RUNTIME_NATIVE);
        ck_assert_uint_eq(spawn.memory_bytes, sample.memory_bytes);
        ck_assert_uint_eq(spawn.tmp_bytes, sample.tmp_bytes);
        ck_assert_uint_eq(spawn.cpu_millis, 1500);
        ck_assert_uint_eq(spawn.process_max, 64);
        ck_assert(spawn.verify && !spawn.plain);
        ck_assert_uint_eq(spawn.reach, 5);
        ck_assert_str_eq(spawn.digest, DIGEST);
        ck_assert_str_eq(spawn.handler, "bin/hello");
        ck_assert_str_eq(spawn.layers, DIGEST);
        ck_assert_str_eq(spawn.function, FUNCTION);
        ck_assert_uint_eq(spawn.env_count, 2);
        ck_assert_str_eq(spawn.env[0], "A=1");
        ck_assert_str_eq(spawn.env[1], "B=");
}
TEST_END

TEST(what_an_image_says_comes_out_as_it_went_in)
{
        struct agent_spawn spawn;

        ck_assert_int_eq(pass(&image, &spawn), 0);
        ck_assert_int_eq(spawn.runtime, AGENT_RUNTIME_IMAGE);
        ck_assert_int_eq(spawn.network, AGENT_NETWORK_EGRESS);
        ck_assert_int_eq(spawn.contract, AGENT_CONTRACT_HTTP);
        ck_assert_uint_eq(spawn.port, 8080);
        ck_assert_uint_eq(spawn.user, 33);
        ck_assert_uint_eq(spawn.user_group, 65535);
        ck_assert_str_eq(spawn.function, FUNCTION);
        ck_assert_str_eq(spawn.directory, "/srv");
        ck_assert_uint_eq(spawn.word_count, 3);
        ck_assert_str_eq(spawn.words[0], "server");
        ck_assert_str_eq(spawn.words[1], "");
        ck_assert_str_eq(spawn.words[2], "A=1");
        ck_assert_uint_eq(spawn.env_count, 1);
        ck_assert_str_eq(spawn.env[0], "PATH=/bin");
}
TEST_END

TEST(what_no_image_can_say_is_refused)
{
        static char long_word[AGENT_COMMAND_MAX];
        struct agent_spawn spawn, bad[10];

        memset(long_word, 'x', sizeof(long_word) - 1);
        for (size_t i = 0; i < 10; i++)
                bad[i] = image;
        bad[0].contract = AGENT_CONTRACT_NONE;
        bad[1].contract = (enum agent_contract)(AGENT_CONTRACT_LAMBDA + 1);
        bad[2].contract = AGENT_CONTRACT_EXEC; /* has no port */
        bad[3].port = 0;
        bad[4].port = AGENT_PORT_MAX + 1;
        bad[5].user = AGENT_ID_MAX + 1;
        bad[6].user_group = AGENT_ID_MAX + 1;
        bad[7].directory = "srv";
        bad[8].words[0] = "";
        bad[9].words[1] = long_word;
        for (size_t i = 0; i < 10; i++)
                ck_assert_int_eq(pass(&bad[i], &spawn), -EPROTO);
        bad[0] = image;
        bad[0].word_count = AGENT_WORDS_MAX + 1;
        ck_assert_int_eq(agent_spawn_encode(&bad[0], wire, sizeof(wire)), -EMSGSIZE);
}
TEST_END

TEST(words_that_are_not_there_are_refused)
{
        static const uint32_t counts[] = {0, 5, AGENT_WORDS_MAX, AGENT_WORDS_MAX + 1, UINT32_MAX};
        struct agent_message *message = (void *)wire;
        struct agent_spawn spawn;
        int length = agent_spawn_encode(&image, wire, sizeof(wire));

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                message->word_count = counts[i];
                ck_assert_int_eq(decode((size_t)length, &spawn), -EPROTO);
        }
}
TEST_END

TEST(only_an_image_says_what_images_say)
{
        struct agent_message *message = (void *)wire;
        struct agent_spawn spawn, plain = sample;
        uint32_t *fields[] = {&message->contract, &message->port, &message->user,
                              &message->user_group, &message->word_count};

        for (enum agent_runtime runtime = AGENT_RUNTIME_PYTHON3; runtime < AGENT_RUNTIME_IMAGE;
             runtime++)
                for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
                        plain.runtime = runtime;
                        ck_assert_int_eq(pass(&plain, &spawn), 0);
                        *fields[i] = 1;
                        ck_assert_int_eq(decode(sizeof(*message) + message->extra_length, &spawn),
                                         -EPROTO);
                }
}
TEST_END

TEST(each_flag_of_a_spawn_is_passed_and_another_is_refused)
{
        struct agent_message *message = (void *)wire;
        struct agent_spawn spawn, plain = sample;
        int length;

        plain.verify = false;
        plain.plain = true;
        ck_assert_int_eq(pass(&plain, &spawn), 0);
        ck_assert(spawn.plain && !spawn.verify);
        plain.verify = true;
        ck_assert_int_eq(pass(&plain, &spawn), 0);
        ck_assert(spawn.plain && spawn.verify);
        length = agent_spawn_encode(&plain, wire, sizeof(wire));
        message->flags = 4;
        ck_assert_int_eq(decode((size_t)length, &spawn), -EPROTO);
}
TEST_END

TEST(ranges_are_reached_by_those_alone_who_have_a_way_out)
{
        struct agent_message *message = (void *)wire;
        struct agent_spawn spawn, wanting = sample;
        int length;

        wanting.reach = AGENT_REACH_UNKNOWN | 1u << (AGENT_REACH_MAX - 1);
        ck_assert_int_eq(pass(&wanting, &spawn), 0);
        ck_assert_uint_eq(spawn.reach, wanting.reach);
        wanting.reach = AGENT_REACH_UNKNOWN << 1;
        ck_assert_int_eq(pass(&wanting, &spawn), -EPROTO);
        wanting.reach = 1;
        wanting.network = AGENT_NETWORK_NONE;
        ck_assert_int_eq(pass(&wanting, &spawn), -EPROTO);
        wanting.reach = 0;
        ck_assert_int_eq(pass(&wanting, &spawn), 0);
        ck_assert_int_eq(spawn.network, AGENT_NETWORK_NONE);
        length = agent_spawn_encode(&wanting, wire, sizeof(wire));
        message->network = AGENT_NETWORK_EGRESS + 1;
        ck_assert_int_eq(decode((size_t)length, &spawn), -EPROTO);
}
TEST_END

TEST(a_message_beyond_the_last_type_is_refused)
{
        struct agent_message message = {.type = AGENT_COURTESY}, decoded;
        const char *extra;

        ck_assert_int_eq(agent_message_decode(&message, sizeof(message), &decoded, &extra), 0);
        message.type++;
        ck_assert_int_eq(agent_message_decode(&message, sizeof(message), &decoded, &extra),
                         -EPROTO);
}
TEST_END

TEST(every_cut_of_a_spawn_is_refused)
{
        struct agent_spawn spawn;
        int length = agent_spawn_encode(&sample, wire, sizeof(wire));

        for (size_t cut = 0; cut < (size_t)length; cut++)
                ck_assert_int_eq(decode(cut, &spawn), -EPROTO);
        /* also where the length says so itself: the last string lacks its NUL */
        struct agent_message *message = (void *)wire;
        message->extra_length--;
        ck_assert_int_eq(decode((size_t)length - 1, &spawn), -EPROTO);
}
TEST_END

TEST(limits_out_of_range_are_refused)
{
        struct agent_spawn spawn, bad[11];

        for (size_t i = 0; i < 11; i++)
                bad[i] = sample;
        bad[0].memory_bytes = AGENT_MEMORY_MIN - 1;
        bad[1].memory_bytes = AGENT_MEMORY_MAX + 1;
        bad[2].tmp_bytes = AGENT_TMP_MIN - 1;
        bad[3].tmp_bytes = AGENT_MEMORY_MAX + 1;
        bad[4].cpu_millis = AGENT_CPU_MILLIS_MIN - 1;
        bad[5].cpu_millis = AGENT_CPU_MILLIS_MAX + 1;
        bad[6].process_max = AGENT_PROCESS_MIN - 1;
        bad[7].process_max = AGENT_PROCESS_MAX + 1;
        bad[8].runtime = (enum agent_runtime)0;
        bad[9].runtime = (enum agent_runtime)(AGENT_RUNTIME_IMAGE + 1);
        bad[10].network = (enum agent_network)(AGENT_NETWORK_EGRESS + 1);
        for (size_t i = 0; i < 11; i++)
                ck_assert_int_eq(pass(&bad[i], &spawn), -EPROTO);
}
TEST_END

TEST(a_digest_or_handler_that_leads_elsewhere_is_refused)
{
        static const char *const digests[] = {
                "", "..", "../../../../../../../../../../../../../../../../../../../../../etc/pwd",
                "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", DIGEST "0"};
        static const char *const handlers[] = {"/bin/sh", "..", "../x", "a/../../b", "a/.."};
        struct agent_spawn spawn, bad;

        for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
                bad = sample;
                bad.digest = digests[i];
                ck_assert_int_eq(pass(&bad, &spawn), -EPROTO);
        }
        for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
                bad = sample;
                bad.handler = handlers[i];
                ck_assert_int_eq(pass(&bad, &spawn), -EPROTO);
        }
        bad = sample;
        bad.handler = "a..b/..c/main.handle";
        ck_assert_int_eq(pass(&bad, &spawn), 0);
}
TEST_END

TEST(layers_are_a_digest_or_none)
{
        static const char *const wrong[] = {"x", "..", "/opt", DIGEST "0", DIGEST "/"};
        struct agent_spawn spawn, changed = sample;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                changed.layers = wrong[i];
                ck_assert_int_eq(pass(&changed, &spawn), -EPROTO);
        }
        changed.layers = "";
        ck_assert_int_eq(pass(&changed, &spawn), 0);
        ck_assert_str_eq(spawn.layers, "");
        ck_assert_uint_eq(spawn.env_count, 2);
        changed = image;
        changed.layers = DIGEST;
        ck_assert_int_eq(pass(&changed, &spawn), -EPROTO);
}
TEST_END

TEST(a_function_is_an_id_or_none)
{
        static const char *const wrong[] = {"x",
                                            "..",
                                            "A=1",
                                            FUNCTION "0",
                                            "01HF7YAT00zzzzzzzzzzzzzzzz",
                                            "01HF7YAT00/ZZZZZZZZZZZZZZZ"};
        struct agent_spawn spawn, changed = sample;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                changed.function = wrong[i];
                ck_assert_int_eq(pass(&changed, &spawn), -EPROTO);
        }
        changed.function = "";
        ck_assert_int_eq(pass(&changed, &spawn), 0);
        ck_assert_str_eq(spawn.function, "");
        ck_assert_uint_eq(spawn.env_count, 2);
}
TEST_END

TEST(an_environment_that_is_none_is_refused)
{
        struct agent_spawn spawn, bad = sample;

        bad.env[1] = "NOVALUE";
        ck_assert_int_eq(pass(&bad, &spawn), -EPROTO);
        bad.env[1] = "=x";
        ck_assert_int_eq(pass(&bad, &spawn), -EPROTO);
        bad.env_count = AGENT_ENV_MAX + 1;
        ck_assert_int_eq(agent_spawn_encode(&bad, wire, sizeof(wire)), -EMSGSIZE);
}
TEST_END

TEST(what_does_not_fit_is_not_sent)
{
        static char big[AGENT_EXTRA_MAX];
        struct agent_spawn bad = sample;

        ck_assert_int_eq(agent_spawn_encode(&sample, wire, sizeof(struct agent_message) + 70),
                         -EMSGSIZE);
        memset(big, 'x', sizeof(big) - 1);
        big[1] = '=';
        bad.env[0] = big;
        ck_assert_int_eq(agent_spawn_encode(&bad, wire, sizeof(wire)), -EMSGSIZE);
}
TEST_END

TEST_MAIN("agent_protocol", a_spawn_comes_out_as_it_went_in,
          what_an_image_says_comes_out_as_it_went_in, what_no_image_can_say_is_refused,
          words_that_are_not_there_are_refused, only_an_image_says_what_images_say,
          each_flag_of_a_spawn_is_passed_and_another_is_refused,
          ranges_are_reached_by_those_alone_who_have_a_way_out,
          a_message_beyond_the_last_type_is_refused, every_cut_of_a_spawn_is_refused,
          limits_out_of_range_are_refused, a_digest_or_handler_that_leads_elsewhere_is_refused,
          layers_are_a_digest_or_none, a_function_is_an_id_or_none,
          an_environment_that_is_none_is_refused, what_does_not_fit_is_not_sent)
