/* Functions and users: their values, their bounds, and the sentences that name them. */
#include "core/registry/function.h"

#include "testing.h"

#include <errno.h>

static struct function *valid_function(void)
{
        struct function *function = function_new();

        ck_assert_ptr_nonnull(function);
        strcpy(function->name, "hello");
        strcpy(function->handler, "main.handler");
        return function;
}

static void expect_refused(const struct function *function, const char *sentence)
{
        struct err err = {0};

        ck_assert_int_eq(function_validate(function, &err), -EINVAL);
        ck_assert_int_eq(err.code, -EINVAL);
        ck_assert_str_eq(err.text, sentence);
}

TEST(a_new_function_has_the_documented_defaults_and_is_valid)
{
        struct function *function = valid_function();

        ck_assert_uint_eq(function->version, 1);
        ck_assert_uint_eq(function->memory_bytes, 128 << 20);
        ck_assert_uint_eq(function->tmp_bytes, 64 << 20);
        ck_assert_uint_eq(function->timeout_ms, 30000);
        ck_assert_uint_eq(function->keep_alive_ms, 600000);
        ck_assert_uint_eq(function->concurrency, 1);
        ck_assert_uint_eq(function->min_instances, 0);
        ck_assert_uint_eq(function->max_instances, 1000);
        ck_assert(!function->is_public);
        ck_assert_int_eq(function_validate(function, NULL), 0);
        function_unref(function);
}
TEST_END

TEST(a_copy_is_deep_and_has_no_live_state)
{
        static const char *const env[] = {"A=1", "EMPTY=", "TEXT=with = and spaces"};
        struct function *function = valid_function(), *copy;
        int live;

        ck_assert_int_eq(function_set_env(function, 3, env), 0);
        atomic_store(&function->live, &live);
        function->version = 7;
        copy = function_copy(function_ref(function));
        ck_assert_uint_eq(copy->references, 1);
        ck_assert_ptr_null(atomic_load(&copy->live));
        ck_assert_uint_eq(copy->version, 7);
        ck_assert_str_eq(copy->name, "hello");
        function_unref(function);
        function_unref(function);
        ck_assert_uint_eq(copy->env_count, 3);
        for (size_t i = 0; i < 3; i++)
                ck_assert_str_eq(copy->env[i], env[i]);
        ck_assert_int_eq(function_set_env(copy, 0, NULL), 0);
        ck_assert_ptr_null(copy->env);
        function_unref(copy);
}
TEST_END

TEST(the_last_reference_frees_and_null_is_nobody)
{
        struct user *user = user_new();

        ck_assert_ptr_eq(user_ref(user), user);
        user_unref(user);
        ck_assert_uint_eq(user->references, 1);
        user_unref(user);
        user_unref(NULL);
        function_unref(NULL);
}
TEST_END

TEST(runtimes_have_one_spelling)
{
        enum runtime runtime;

        for (int i = RUNTIME_PYTHON3; i <= RUNTIME_IMAGE; i++) {
                ck_assert(runtime_parse(slice_of(runtime_name((enum runtime)i)), &runtime));
                ck_assert_int_eq(runtime, i);
        }
        ck_assert(!runtime_parse(SLICE("Python3"), &runtime));
        ck_assert(!runtime_parse(SLICE(""), &runtime));
        ck_assert(!runtime_parse(SLICE("python"), &runtime));
}
TEST_END

TEST(a_name_has_lower_case_letters_digits_and_inner_hyphens)
{
        static const char *const right[] = {"a", "0", "a-b", "hello-world-2", "x--y"};
        static const char *const wrong[] = {"", "-a", "a-", "A", "a_b", "a.b", "\xc3\xa4", "a b"};
        char longest[NAME_MAX_LENGTH + 1];
        struct err err;

        memset(longest, 'n', sizeof(longest));
        for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
                ck_assert_int_eq(name_validate(slice_of(right[i]), &err), 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(name_validate(slice_of(wrong[i]), &err), -EINVAL);
        ck_assert_int_eq(name_validate(slice_make(longest, NAME_MAX_LENGTH), &err), 0);
        ck_assert_int_eq(name_validate(slice_make(longest, NAME_MAX_LENGTH + 1), &err), -EINVAL);
        ck_assert_int_eq(name_validate(SLICE("My Function"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "name 'My Function' is not allowed: a name has 1 to 63 "
                                   "characters of a-z, 0-9 and '-', and '-' neither first nor "
                                   "last");
}
TEST_END

TEST(a_function_has_no_name_that_the_api_has_for_itself)
{
        struct err err;

        ck_assert_int_eq(function_name_validate(SLICE("me"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "the name 'me' is taken by the API itself");
        ck_assert_int_eq(function_name_validate(SLICE("execute"), &err), -EINVAL);
        ck_assert_int_eq(function_name_validate(SLICE("My Function"), &err), -EINVAL);
        ck_assert_int_eq(function_name_validate(SLICE("mean"), &err), 0);
        ck_assert_int_eq(name_validate(SLICE("me"), &err), 0); /* a layer's, say */
}
TEST_END

TEST(an_email_address_is_what_a_browser_accepts)
{
        static const char *const right[] = {"a@b", "jo.doe+x@example.org", "UPPER@Example.ORG",
                                            "o'neil@sub.example-site.org", "1@2.3"};
        static const char *const wrong[] = {
                "",      "@",          "a@",        "@b",        "plain",          "a b@c",
                "a@b@c", "a@-b.org",   "a@b-.org",  "a@b-",      "a@b..org",       "a@.org",
                "a@b.",  "a\"b@c.org", "a@b_c.org", "a@b.org\n", "\xc3\xa4@b.org",
        };
        char text[EMAIL_MAX_LENGTH + 10];
        struct err err;

        for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
                ck_assert_msg(email_validate(slice_of(right[i]), &err) == 0, "%s", right[i]);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_msg(email_validate(slice_of(wrong[i]), &err) == -EINVAL, "%s", wrong[i]);
        ck_assert_str_eq(err.text,
                         "email '\xc3\xa4@b.org' is not an e-mail address such as jo@example.org");
        ck_assert_int_eq(email_validate(slice_make("a\0b@c.org", 9), NULL), -EINVAL);

        memset(text, 'a', sizeof(text));
        text[64] = '@';
        for (size_t i = 65 + 63; i < EMAIL_MAX_LENGTH; i += 64)
                text[i] = '.';
        ck_assert_int_eq(email_validate(slice_make(text, EMAIL_MAX_LENGTH), NULL), 0);
        ck_assert_int_eq(email_validate(slice_make(text, EMAIL_MAX_LENGTH + 1), NULL), -EINVAL);
        ck_assert_int_eq(email_validate(slice_make(text, 65 + 63), NULL), 0);
        text[65 + 63] = 'a'; /* a label of 64 */
        ck_assert_int_eq(email_validate(slice_make(text, 65 + 64), NULL), -EINVAL);
        memmove(text + 65, text + 64, 20); /* a local part of 65 */
        text[64] = 'a';
        ck_assert_int_eq(email_validate(slice_make(text, 70), NULL), -EINVAL);
}
TEST_END

TEST(an_email_address_is_stored_in_lower_case)
{
        char email[EMAIL_MAX_LENGTH + 1];

        email_fold(SLICE("Jo.Doe@Example.ORG"), email);
        ck_assert_str_eq(email, "jo.doe@example.org");
}
TEST_END

TEST(a_namespace_made_from_an_email_address_is_a_name)
{
        static const struct {
                const char *email;
                uint32_t attempt;
                const char *name_space;
        } cases[] = {
                {"jo@example.org", 0, "jo"},     {"Jo.Doe+Work@example.org", 0, "jo-doe-work"},
                {"__jo__@example.org", 0, "jo"}, {"jo@example.org", 1, "jo-2"},
                {"...@example.org", 0, "user"},  {"_@example.org", 2, "user-3"},
        };
        char name[NAME_MAX_LENGTH + 1], text[EMAIL_MAX_LENGTH];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                name_space_from_email(slice_of(cases[i].email), cases[i].attempt, name);
                ck_assert_str_eq(name, cases[i].name_space);
                ck_assert_int_eq(name_validate(slice_of(name), NULL), 0);
        }
        memset(text, 'x', sizeof(text));
        name_space_from_email(slice_make(text, sizeof(text)), UINT32_MAX - 1, name);
        ck_assert_uint_eq(strlen(name), NAME_MAX_LENGTH);
        ck_assert_str_eq(name + NAME_MAX_LENGTH - 11, "-4294967295");
}
TEST_END

TEST(an_environment_variable_needs_a_name_of_its_own)
{
        struct err err;

        ck_assert_int_eq(env_validate(SLICE("A=1"), NULL), 0);
        ck_assert_int_eq(env_validate(SLICE("_a9="), NULL), 0);
        ck_assert_int_eq(env_validate(SLICE("KEY=-----BEGIN\nline\n"), NULL), 0);
        ck_assert_int_eq(env_validate(SLICE("A"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "env 'A' is not of the form NAME=value");
        ck_assert_int_eq(env_validate(SLICE(""), &err), -EINVAL);
        ck_assert_int_eq(env_validate(SLICE("=x"), &err), -EINVAL);
        ck_assert_int_eq(env_validate(SLICE("9A=x"), &err), -EINVAL);
        ck_assert_int_eq(env_validate(SLICE("A-B=x"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "env name 'A-B' is not allowed: a name has letters, digits and "
                                   "'_', and no digit first");
        ck_assert_int_eq(env_validate(SLICE("MAGPIE_HANDLER=x"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "env name 'MAGPIE_HANDLER' is not allowed: names that begin "
                                   "with MAGPIE_ are the platform's");
        ck_assert_int_eq(env_validate(SLICE("A=x\0y"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "the value of env 'A' holds a NUL character");
}
TEST_END

TEST(every_number_has_bounds_and_a_sentence)
{
        struct function *function = valid_function();

        function->memory_bytes = 4 << 20;
        expect_refused(function, "memory 4MiB is not allowed: it may be 8MiB to 64GiB");
        function->memory_bytes = 128 << 20;
        function->tmp_bytes = 0;
        expect_refused(function, "tmp 0 is not allowed: it may be 1MiB to 16GiB");
        function->tmp_bytes = 1 << 20;
        function->timeout_ms = 0;
        expect_refused(function, "timeout 0s is not allowed: it may be 1ms to 1h");
        function->timeout_ms = 60 * 60 * 1000 + 1;
        expect_refused(function, "timeout 3600001ms is not allowed: it may be 1ms to 1h");
        function->timeout_ms = 1;
        function->keep_alive_ms = 25 * 60 * 60 * 1000;
        expect_refused(function, "keepAlive 25h is not allowed: it may be 0s to 24h");
        function->keep_alive_ms = KEEP_ALIVE_AUTO;
        ck_assert_int_eq(function_validate(function, NULL), 0);
        function->keep_alive_ms = 0;
        function->concurrency = 0;
        expect_refused(function, "concurrency 0 is not allowed: it may be 1 to 1000");
        function->concurrency = 1000;
        function->max_instances = 0;
        expect_refused(function, "max 0 is not allowed: it may be 1 to 10000");
        function->max_instances = 3;
        function->min_instances = 4;
        expect_refused(function, "min 4 is not allowed: it may be 0 to 3");
        function->min_instances = 3;
        function->cpu_millis = CPU_MAX_MILLIS + 1;
        expect_refused(function, "cpu 1024001 is not allowed: it may be 0 to 1024000");
        function->cpu_millis = 0;
        ck_assert_int_eq(function_validate(function, NULL), 0);
        function_unref(function);
}
TEST_END

TEST(names_handlers_digests_and_environments_are_checked_in_a_function)
{
        static const char *const twice[] = {"A=1", "AB=2", "A=3"};
        static const char *const wrong[] = {"A=1", "B"};
        static char huge[ENV_MAX_BYTES] = "HUGE=";
        const char *huge_env[] = {huge}, *many[ENV_MAX_COUNT + 1];
        struct function *function = valid_function();

        function->name[0] = 'H';
        expect_refused(function, "name 'Hello' is not allowed: a name has 1 to 63 characters of "
                                 "a-z, 0-9 and '-', and '-' neither first nor last");
        function->name[0] = 'h';
        strcpy(function->handler, "main\n.handler");
        expect_refused(function, "handler 'main?.handler' is not allowed: a handler has at most "
                                 "255 bytes and no control characters");
        function->handler[0] = '\0';
        strcpy(function->code_digest, "abc");
        expect_refused(function, "code digest 'abc' is not 64 hexadecimal digits");
        memset(function->code_digest, 'a', DIGEST_LENGTH);
        ck_assert_int_eq(function_validate(function, NULL), 0);

        ck_assert_int_eq(function_set_env(function, 3, twice), 0);
        expect_refused(function, "env 'A' is given twice");
        ck_assert_int_eq(function_set_env(function, 2, wrong), 0);
        expect_refused(function, "env 'B' is not of the form NAME=value");
        memset(huge + 5, 'x', sizeof(huge) - 6);
        ck_assert_int_eq(function_set_env(function, 1, huge_env), 0);
        ck_assert_int_eq(function_validate(function, NULL), 0);
        for (size_t i = 0; i < ENV_MAX_COUNT + 1; i++)
                many[i] = "A=1";
        ck_assert_int_eq(function_set_env(function, ENV_MAX_COUNT + 1, many), 0);
        expect_refused(function, "env has 101 variables: at most 100 are allowed");
        function_unref(function);
}
TEST_END

TEST(an_environment_is_bounded_as_a_whole)
{
        static char large[ENV_MAX_BYTES] = "LARGE=";
        const char *env[] = {large, "B="};
        struct function *function = valid_function();

        memset(large + 6, 'x', sizeof(large) - 7);
        ck_assert_int_eq(function_set_env(function, 2, env), 0);
        expect_refused(function, "env has 32771 bytes in all: at most 32768 are allowed");
        function_unref(function);
}
TEST_END

TEST(sizes_are_read_in_powers_of_1024_whatever_the_case)
{
        static const struct {
                const char *text;
                uint64_t bytes;
        } cases[] = {
                {"0", 0},
                {"1048576", 1 << 20},
                {"7B", 7},
                {"512k", 512 << 10},
                {"512KB", 512 << 10},
                {"512Ki", 512 << 10},
                {"128MiB", 128 << 20},
                {"128mb", 128 << 20},
                {"1GiB", 1 << 30},
                {"2T", 2ull << 40},
                {"18446744073709551615", UINT64_MAX},
        };
        static const char *const wrong[] = {
                "",           "MiB",  "-1", "1.5GiB",  "1 MiB",
                "1MiBx",      "0x10", "+1", "128MiB ", "18446744073709551616",
                "16777216TiB"};
        uint64_t bytes = 0;
        struct err err;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ck_assert_int_eq(size_parse(slice_of(cases[i].text), &bytes, &err), 0);
                ck_assert_uint_eq(bytes, cases[i].bytes);
        }
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(size_parse(slice_of(wrong[i]), &bytes, &err), -EINVAL);
        ck_assert_uint_eq(bytes, UINT64_MAX);
        ck_assert_int_eq(size_parse(SLICE("lots"), &bytes, &err), -EINVAL);
        ck_assert_str_eq(err.text, "'lots' is not a size: write a whole number and a unit, such "
                                   "as 512KiB, 128MiB or 1GiB");
}
TEST_END

TEST(durations_need_a_unit_unless_they_are_nought)
{
        static const struct {
                const char *text;
                uint64_t ms;
        } cases[] = {{"0", 0},        {"0s", 0},       {"1500ms", 1500}, {"30s", 30000},
                     {"10m", 600000}, {"1h", 3600000}, {"90M", 5400000}};
        static const char *const wrong[] = {"", "30", "s", "1.5s", "-1s", "1d", "1h30m", "00"};
        uint64_t ms = 1;
        struct err err;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ck_assert_int_eq(duration_parse(slice_of(cases[i].text), &ms, &err), 0);
                ck_assert_uint_eq(ms, cases[i].ms);
        }
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(duration_parse(slice_of(wrong[i]), &ms, &err), -EINVAL);
        ck_assert_str_eq(err.text, "'00' is not a duration: write a whole number and a unit, such "
                                   "as 1500ms, 30s, 10m or 1h");
}
TEST_END

TEST(a_keep_alive_is_a_duration_or_auto)
{
        static const struct {
                const char *text;
                uint32_t ms;
        } cases[] = {{"auto", KEEP_ALIVE_AUTO}, {"0s", 0}, {"10m", 600000}};
        static const char *const wrong[] = {"", "Auto", "auto ", "30", "for ever"};
        char text[24];
        uint32_t ms = 1;
        struct err err;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ck_assert_int_eq(keep_alive_parse(slice_of(cases[i].text), &ms, &err), 0);
                ck_assert_uint_eq(ms, cases[i].ms);
                keep_alive_format(ms, text);
                ck_assert_str_eq(text, cases[i].text);
        }
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(keep_alive_parse(slice_of(wrong[i]), &ms, &err), -EINVAL);
        ck_assert_str_eq(err.text, "'for ever' is no keep-alive: write auto, or a whole number and "
                                   "a unit, such as 30s, 10m or 1h");
}
TEST_END

TEST(a_zygote_is_auto_or_off)
{
        static const char *const wrong[] = {"", "Off", "on", "false", "auto "};
        bool starts_plainly = true;

        ck_assert(zygote_parse(SLICE("auto"), &starts_plainly) && !starts_plainly);
        ck_assert(zygote_parse(SLICE("off"), &starts_plainly) && starts_plainly);
        ck_assert_str_eq(zygote_name(true), "off");
        ck_assert_str_eq(zygote_name(false), "auto");
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert(!zygote_parse(slice_of(wrong[i]), &starts_plainly));
}
TEST_END

TEST(a_keep_alive_beyond_all_bounds_is_not_taken_for_auto)
{
        uint32_t ms = 0;

        ck_assert_int_eq(keep_alive_parse(SLICE("4294967295ms"), &ms, NULL), 0);
        ck_assert_uint_eq(ms, KEEP_ALIVE_AUTO - 1);
        ck_assert_int_eq(keep_alive_parse(SLICE("99999999h"), &ms, NULL), 0);
        ck_assert_uint_eq(ms, KEEP_ALIVE_AUTO - 1);
}
TEST_END

TEST(what_is_written_is_read_back_as_the_same_quantity)
{
        static const uint64_t values[] = {0,       1,       999,      1000,          1024,
                                          1500,    30000,   60000,    90000,         1048576,
                                          3600000, 1 << 30, 86400000, (1 << 20) + 1, UINT64_MAX};
        char text[24];
        uint64_t value;

        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
                size_format(values[i], text);
                ck_assert_int_eq(size_parse(slice_of(text), &value, NULL), 0);
                ck_assert_uint_eq(value, values[i]);
                duration_format(values[i], text);
                ck_assert_int_eq(duration_parse(slice_of(text), &value, NULL), 0);
                ck_assert_uint_eq(value, values[i]);
        }
        size_format(128 << 20, text);
        ck_assert_str_eq(text, "128MiB");
        duration_format(30000, text);
        ck_assert_str_eq(text, "30s");
        duration_format(0, text);
        ck_assert_str_eq(text, "0s");
}
TEST_END

TEST(ids_sort_by_time_and_carry_all_their_chance)
{
        static const uint8_t zero[10],
                ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
        static const uint8_t counting[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
        char first[ID_LENGTH + 1], second[ID_LENGTH + 1];

        id_make(0, zero, first);
        ck_assert_str_eq(first, "00000000000000000000000000");
        id_make((1ull << 48) - 1, ones, first);
        ck_assert_str_eq(first, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        id_make(1469918176385, counting, first);
        ck_assert_str_eq(first, "01ARYZ6S41041061050R3GG28A");
        ck_assert(id_is_valid(slice_of(first)));
        id_make(1469918176386, zero, second);
        ck_assert_int_lt(strcmp(first, second), 0);
}
TEST_END

TEST(only_26_characters_of_crockfords_alphabet_are_an_id)
{
        ck_assert(id_is_valid(SLICE("01ARYZ6S41041061050R3GG28A")));
        ck_assert(!id_is_valid(SLICE("")));
        ck_assert(!id_is_valid(SLICE("01ARYZ6S41041061050R3GG28")));
        ck_assert(!id_is_valid(SLICE("01ARYZ6S41041061050R3GG28AA")));
        ck_assert(!id_is_valid(SLICE("81ARYZ6S41041061050R3GG28A")));
        ck_assert(!id_is_valid(SLICE("01aryz6s41041061050r3gg28a")));
        ck_assert(!id_is_valid(SLICE("01ARYZ6S4104106105UR3GG28A")));
        ck_assert(!id_is_valid(SLICE("01ARYZ6S4104106105\0R3GG28A")));
}
TEST_END

TEST_MAIN("function", a_new_function_has_the_documented_defaults_and_is_valid,
          a_copy_is_deep_and_has_no_live_state, the_last_reference_frees_and_null_is_nobody,
          runtimes_have_one_spelling, a_name_has_lower_case_letters_digits_and_inner_hyphens,
          a_function_has_no_name_that_the_api_has_for_itself,
          an_email_address_is_what_a_browser_accepts, an_email_address_is_stored_in_lower_case,
          a_namespace_made_from_an_email_address_is_a_name,
          an_environment_variable_needs_a_name_of_its_own, every_number_has_bounds_and_a_sentence,
          names_handlers_digests_and_environments_are_checked_in_a_function,
          an_environment_is_bounded_as_a_whole, sizes_are_read_in_powers_of_1024_whatever_the_case,
          durations_need_a_unit_unless_they_are_nought, a_keep_alive_is_a_duration_or_auto,
          a_keep_alive_beyond_all_bounds_is_not_taken_for_auto, a_zygote_is_auto_or_off,
          what_is_written_is_read_back_as_the_same_quantity,
          ids_sort_by_time_and_carry_all_their_chance,
          only_26_characters_of_crockfords_alphabet_are_an_id)
