/* Manifests and configurations of images, as registries have them. */
#include "adapters/images/configuration.h"

#include "testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BLOB(hex) "{\"digest\":\"sha256:" hex "\",\"size\":7}"
#define PLATFORM(os, machine, variant)                                                             \
        "\"platform\":{\"os\":\"" os "\",\"architecture\":\"" machine "\",\"variant\":\"" variant  \
        "\"}"
#define ENTRY(hex, platform) "{\"digest\":\"sha256:" hex "\",\"size\":9," platform "}"

TEST(an_image_has_a_configuration_and_layers)
{
        struct image_manifest manifest;

        ck_assert_int_eq(image_manifest_parse(
                                 SLICE("{\"schemaVersion\":2,\"config\":" BLOB(
                                         HEX_A) ",\"layers\":[" BLOB(HEX_B) "," BLOB(HEX_A) "]}\n"),
                                 &manifest, NULL),
                         0);
        ck_assert(!manifest.is_index);
        ck_assert_uint_eq(manifest.layer_count, 2);
        ck_assert_str_eq(manifest.configuration.digest, HEX_A);
        ck_assert_str_eq(manifest.layers[0].digest, HEX_B);
        ck_assert_uint_eq(manifest.layers[0].size, 7);
        image_manifest_deinit(&manifest);
}
TEST_END

TEST(what_is_no_manifest_is_refused)
{
        static const struct {
                const char *text, *words;
                int code;
        } cases[] = {
                {"", "empty", -EINVAL},
                {"[]", "not a JSON object", -EINVAL},
                {"{}x", "not a JSON object", -EINVAL},
                {"{\"schemaVersion\":2}", "neither layers nor images", -EINVAL},
                {"{\"schemaVersion\":1,\"fsLayers\":[]}", "old kind", -ENOTSUP},
                {"{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}", "layers and images",
                 -EINVAL},
                {"{\"schemaVersion\":2,\"config\":" BLOB(HEX_A) ",\"layers\":[]}", "0 layers",
                 -EINVAL},
                {"{\"schemaVersion\":2,\"layers\":[" BLOB(HEX_A) "]}", "configuration", -EINVAL},
                {"{\"schemaVersion\":2,\"config\":" BLOB(HEX_A) ",\"layers\":[{\"digest\":"
                                                                "\"sha256:" HEX_A "\"}]}",
                 "no size", -EINVAL},
                {"{\"schemaVersion\":2,\"config\":" BLOB(HEX_A) ",\"layers\":[{\"digest\":"
                                                                "\"sha512:" HEX_A
                                                                "\",\"size\":1}]}",
                 "no digest", -EINVAL},
                {"{\"schemaVersion\":2,\"config\":" BLOB(HEX_A) ",\"layers\":[{\"digest\":"
                                                                "\"sha256:" HEX_A
                                                                "\",\"size\":-1}]}",
                 "no size", -EINVAL},
                {"{\"schemaVersion\":2,\"config\":" BLOB(
                         HEX_A) ",\"layers\":[{\"mediaType\":\"application/"
                                "vnd.docker.image.rootfs.foreign.diff.tar.gzip\",\"digest\":"
                                "\"sha256:" HEX_A "\",\"size\":1}]}",
                 "not in its registry", -ENOTSUP},
                {"{\"schemaVersion\":2,\"config\":" BLOB(
                         HEX_A) ",\"layers\":[{\"urls\":[\"http://x\"],\"digest\":"
                                "\"sha256:" HEX_A "\",\"size\":1}]}",
                 "not in its registry", -ENOTSUP},
                {"{\"schemaVersion\":2,\"manifests\":[]}", "0 images", -EINVAL},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct image_manifest manifest;
                struct err err = {0};
                ck_assert_int_eq(image_manifest_parse(slice_of(cases[i].text), &manifest, &err),
                                 cases[i].code);
                ck_assert_msg(strstr(err.text, cases[i].words), "%s: %s", cases[i].text, err.text);
                image_manifest_deinit(&manifest);
        }
}
TEST_END

static const char *chosen(const char *entries, struct err *err)
{
        static char digest[SHA256_HEX_LENGTH + 1];
        struct image_manifest manifest;
        const struct manifest_entry *entry;
        char text[4096];

        (void)snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"manifests\":[%s]}", entries);
        ck_assert_int_eq(image_manifest_parse(slice_of(text), &manifest, err), 0);
        entry = image_manifest_choose(&manifest, err);
        (void)snprintf(digest, sizeof(digest), "%s", entry ? entry->manifest.digest : "");
        image_manifest_deinit(&manifest);
        return entry ? digest : NULL;
}

TEST(of_an_index_the_plainest_image_for_this_machine_is_chosen)
{
        const char *machine = platform_here()->architecture;
        char entries[2048];
        struct err err = {0};

        (void)snprintf(entries, sizeof(entries),
                       ENTRY(HEX_A, PLATFORM("windows", "%s", "")) "," ENTRY(
                               HEX_A, PLATFORM("linux", "%s",
                                               "v99")) ","
                                                       "{\"digest\":\"sha256:" HEX_A
                                                       "\",\"size\":9}," ENTRY(
                                                               HEX_B, PLATFORM("linux", "%s", "")),
                       machine, machine, machine);
        ck_assert_str_eq(chosen(entries, &err), HEX_B);
        (void)snprintf(entries, sizeof(entries), ENTRY(HEX_A, PLATFORM("linux", "%s", "v99")),
                       machine);
        ck_assert_str_eq(chosen(entries, &err), HEX_A);
}
TEST_END

TEST(an_index_without_this_machine_says_what_it_has)
{
        struct err err = {0};

        ck_assert_ptr_null(chosen(
                ENTRY(HEX_A, PLATFORM("linux", "riscv64", "")) "," ENTRY(
                        HEX_A, PLATFORM("unknown", "unknown",
                                        "")) "," ENTRY(HEX_A, PLATFORM("linux", "arm", "v7")),
                &err));
        ck_assert_ptr_nonnull(strstr(err.text, "it is for linux/riscv64, linux/arm/v7"));
}
TEST_END

#define ROOTFS "\"rootfs\":{\"diff_ids\":[\"sha256:" HEX_A "\"]}"

static int try_parse(const char *config, struct configuration *ret_configuration, struct err *err)
{
        char text[8192];

        (void)snprintf(text, sizeof(text),
                       "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{%s}," ROOTFS "}",
                       config);
        return configuration_parse(slice_of(text), ret_configuration, err);
}

static void parse(const char *config, struct configuration *ret_configuration)
{
        struct err err = {0};

        ck_assert_msg(try_parse(config, ret_configuration, &err) == 0, "%s", err.text);
}

TEST(a_configuration_says_what_is_run_and_how)
{
        struct configuration c;

        parse("\"Entrypoint\":[\"/a\",\"b\"],\"Cmd\":[\"c\"],\"Env\":[\"A=1\",\"NONE\",\"=x\","
              "\"MAGPIE_X=1\",\"B=\"],\"WorkingDir\":\"/w\",\"User\":\"u:g\"",
              &c);
        ck_assert_uint_eq(c.word_count, 3);
        ck_assert_uint_eq(c.entry_word_count, 2);
        ck_assert_str_eq(c.words[2], "c");
        ck_assert_uint_eq(c.env_count, 2);
        ck_assert_str_eq(c.env[1], "B=");
        ck_assert_str_eq(configuration_variable(&c, "A"), "1");
        ck_assert_ptr_null(configuration_variable(&c, "NONE"));
        ck_assert_str_eq(c.directory, "/w");
        ck_assert_str_eq(c.user, "u:g");
        ck_assert_str_eq(c.diff_ids[0], HEX_A);
        configuration_deinit(&c);
}
TEST_END

TEST(null_is_as_good_as_nothing)
{
        struct configuration c;

        parse("\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,\"ExposedPorts\":null,\"Labels\":null,"
              "\"User\":null,\"WorkingDir\":null",
              &c);
        ck_assert_uint_eq(c.word_count, 0);
        ck_assert_str_eq(c.user, "");
        ck_assert_int_eq(configuration_contract(&c), CONTRACT_EXEC);
        configuration_deinit(&c);
}
TEST_END

TEST(contract_and_port_follow_from_what_is_plain)
{
        static const struct {
                const char *config;
                enum contract contract;
                uint32_t port;
        } cases[] = {
                {"", CONTRACT_EXEC, 8080},
                {"\"ExposedPorts\":{\"99\":{}}", CONTRACT_HTTP, 99},
                {"\"ExposedPorts\":{\"0/tcp\":{}}", CONTRACT_EXEC, 8080},
                {"\"ExposedPorts\":{\"65536/tcp\":{}}", CONTRACT_EXEC, 8080},
                {"\"ExposedPorts\":{\"99/tcp\":{},\"98/udp\":{}}", CONTRACT_HTTP, 99},
                {"\"Env\":[\"PORT=x\"]", CONTRACT_EXEC, 8080},
                {"\"Env\":[\"PORT=1\",\"PORT=2\"]", CONTRACT_HTTP, 2},
                {"\"Labels\":{\"magpie.contract\":\"exec\"},\"Env\":[\"PORT=1\"]", CONTRACT_EXEC,
                 1},
                {"\"Cmd\":[\"/x/aws-lambda-ric\"]", CONTRACT_LAMBDA, 8080},
                {"\"Entrypoint\":[\"/x\"],\"Cmd\":[\"aws-lambda-ric\"]", CONTRACT_EXEC, 8080},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct configuration c;
                parse(cases[i].config, &c);
                ck_assert_msg(configuration_contract(&c) == cases[i].contract, "%s",
                              cases[i].config);
                ck_assert_msg(configuration_port(&c) == cases[i].port, "%s", cases[i].config);
                configuration_deinit(&c);
        }
}
TEST_END

TEST(a_stop_signal_is_a_name_or_a_number)
{
        static const struct {
                const char *config;
                int signal;
        } cases[] = {
                {"", 0},
                {"\"StopSignal\":\"\"", 0},
                {"\"StopSignal\":null", 0},
                {"\"StopSignal\":\"SIGTERM\"", SIGTERM},
                {"\"StopSignal\":\"QUIT\"", SIGQUIT},
                {"\"StopSignal\":\"9\"", SIGKILL},
                {"\"StopSignal\":\"64\"", 64},
                {"\"StopSignal\":\"SIGRTMIN+3\"", 37},
                {"\"StopSignal\":\"RTMIN\"", 34},
                {"\"StopSignal\":\"65\"", -1},
                {"\"StopSignal\":\"SIGNONE\"", -1},
                {"\"StopSignal\":\"sigterm\"", -1},
                {"\"StopSignal\":\"RTMIN+64\"", -1},
                {"\"StopSignal\":\"15x\"", -1},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct configuration c;
                struct err err = {0};
                int r = try_parse(cases[i].config, &c, &err);
                ck_assert_msg((r < 0) == (cases[i].signal < 0), "%s: %s", cases[i].config,
                              err.text);
                if (r == 0)
                        ck_assert_int_eq(c.stop_signal, cases[i].signal);
                configuration_deinit(&c);
        }
}
TEST_END

TEST_MAIN("image_documents", an_image_has_a_configuration_and_layers,
          what_is_no_manifest_is_refused, of_an_index_the_plainest_image_for_this_machine_is_chosen,
          an_index_without_this_machine_says_what_it_has, a_configuration_says_what_is_run_and_how,
          null_is_as_good_as_nothing, contract_and_port_follow_from_what_is_plain,
          a_stop_signal_is_a_name_or_a_number)
