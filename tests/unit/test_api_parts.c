/* The small parts of the API that need no server: paths, and JSON from clients. */
#include "base/buffer.h"
#include "gateway/json_body.h"
#include "gateway/path.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

TEST(a_path_without_a_hole_matches_itself_alone)
{
        struct path_holes holes = {0};

        ck_assert(path_match("/api/v1/users", SLICE("/api/v1/users"), &holes));
        ck_assert(!path_match("/api/v1/users", SLICE("/api/v1/users/"), &holes));
        ck_assert(!path_match("/api/v1/users", SLICE("/api/v1/user"), &holes));
        ck_assert(!path_match("/api/v1/users", SLICE("/api/v1/usersx"), &holes));
        ck_assert_ptr_null(holes.id.data);
}
TEST_END

TEST(a_hole_takes_exactly_one_segment)
{
        static const char pattern[] = "/functions/{id}/logs";
        struct path_holes holes = {0};

        ck_assert(path_match(pattern, SLICE("/functions/echo/logs"), &holes));
        ck_assert(slice_equal(holes.id, SLICE("echo")));
        ck_assert(!path_match(pattern, SLICE("/functions//logs"), &holes));
        ck_assert(!path_match(pattern, SLICE("/functions/logs"), &holes));
        ck_assert(!path_match(pattern, SLICE("/functions/a/b/logs"), &holes));
        ck_assert(!path_match(pattern, SLICE("/functions/echo/log"), &holes));
        ck_assert(!path_match(pattern, SLICE("/functions/echo/logs/"), &holes));
        ck_assert(path_match("/functions/{id}", SLICE("/functions/x"), &holes));
        ck_assert(slice_equal(holes.id, SLICE("x")));
        ck_assert(!path_match("/functions/{id}", SLICE("/functions/"), &holes));
        ck_assert(!path_match("/functions/{id}", SLICE("/functions/x/y"), &holes));
}
TEST_END

TEST(a_path_may_have_a_version_behind_its_id)
{
        static const char pattern[] = "/layers/{id}/{version}";
        struct path_holes holes = {0};

        ck_assert(path_match(pattern, SLICE("/layers/tools/12"), &holes));
        ck_assert(slice_equal(holes.id, SLICE("tools")));
        ck_assert(slice_equal(holes.version, SLICE("12")));
        ck_assert(!path_match(pattern, SLICE("/layers/tools"), &holes));
        ck_assert(!path_match(pattern, SLICE("/layers/tools/"), &holes));
        ck_assert(!path_match(pattern, SLICE("/layers//1"), &holes));
        ck_assert(!path_match(pattern, SLICE("/layers/tools/1/"), &holes));
        ck_assert(slice_equal(holes.id, SLICE("tools")));
}
TEST_END

static void expect_refused(struct slice text)
{
        struct err err = {0};
        cJSON *object = NULL;

        ck_assert_msg(json_body_parse(text, &object, &err) == -EINVAL, "accepted: %.*s",
                      (int)text.length, text.data);
        ck_assert_ptr_null(object);
        ck_assert_uint_gt(strlen(err.text), 10);
}

TEST(only_one_json_object_in_utf_8_is_a_body)
{
        cJSON *object;

        ck_assert_int_eq(json_body_parse(SLICE(" {\"a\":1} \r\n"), &object, NULL), 0);
        cJSON_Delete(object);
        ck_assert_int_eq(json_body_parse(SLICE("{}"), &object, NULL), 0);
        cJSON_Delete(object);

        expect_refused(SLICE(""));
        expect_refused(SLICE("[]"));
        expect_refused(SLICE("\"text\""));
        expect_refused(SLICE("{\"a\":1"));
        expect_refused(SLICE("{} {}"));
        expect_refused(SLICE("{}x"));
        expect_refused(SLICE("{\"a\":\"\xff\"}"));
        expect_refused(SLICE("{\"a\":1}\0"));
}
TEST_END

TEST(a_nul_cannot_hide_the_end_of_a_text)
{
        struct slice fine = SLICE("{\"a\":\"\\\\u0000\"}"); /* a backslash and letters */
        cJSON *object;

        expect_refused(SLICE("{\"password\":\"right\\u0000and more\"}"));
        expect_refused(SLICE("{\"a\\u0000b\":1}"));
        expect_refused(SLICE("{\"a\":\"\\\\\\u0000\"}"));
        ck_assert_int_eq(json_body_parse(fine, &object, NULL), 0);
        ck_assert_str_eq(cJSON_GetObjectItem(object, "a")->valuestring, "\\u0000");
        cJSON_Delete(object);
}
TEST_END

/* Each value takes some eighty bytes, whatever it took in the text. */
TEST(a_body_of_many_values_is_refused_before_it_is_built)
{
        struct buffer text;

        buffer_init(&text, 1 << 20);
        ck_assert_int_eq(buffer_append_text(&text, "{\"a\":[0"), 0);
        for (int i = 0; i < 20000; i++)
                ck_assert_int_eq(buffer_append_text(&text, ",0"), 0);
        ck_assert_int_eq(buffer_append_text(&text, "]}"), 0);
        expect_refused(buffer_slice(&text));
        buffer_deinit(&text);
}
TEST_END

struct target {
        uint32_t count;
        bool truth;
        const char *text;
};

static int read_count(const cJSON *value, void *target, struct err *err)
{
        return json_read_count(value, &((struct target *)target)->count, err);
}

static int read_truth(const cJSON *value, void *target, struct err *err)
{
        return json_read_truth(value, &((struct target *)target)->truth, err);
}

static int read_text(const cJSON *value, void *target, struct err *err)
{
        return json_read_text(value, &((struct target *)target)->text, err);
}

static const struct json_member members[] = {
        {"count", read_count}, {"truth", read_truth}, {"text", read_text}};

static int read_members(const char *text, struct target *target, struct err *err)
{
        cJSON *object;
        int r;

        ck_assert_int_eq(json_body_parse(slice_of(text), &object, NULL), 0);
        r = json_body_read(object, members, 3, target, err);
        target->text = NULL; /* it lay in the object */
        cJSON_Delete(object);
        return r;
}

TEST(members_are_read_by_their_table)
{
        struct target target = {0};
        struct err err = {0};

        ck_assert_int_eq(read_members("{\"truth\":true,\"count\":4294967295}", &target, &err), 0);
        ck_assert_uint_eq(target.count, UINT32_MAX);
        ck_assert(target.truth);
}
TEST_END

TEST(an_unknown_or_repeated_member_is_refused_by_name)
{
        struct target target = {0};
        struct err err = {0};

        ck_assert_int_eq(read_members("{\"conut\":1}", &target, &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "conut"));
        ck_assert_int_eq(read_members("{\"count\":1,\"count\":2}", &target, &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "count"));
        ck_assert_int_eq(read_members("{\"Count\":1}", &target, &err), -EINVAL);
}
TEST_END

TEST(a_value_of_the_wrong_kind_is_refused_by_name)
{
        static const char *const wrong[] = {
                "{\"count\":-1}",   "{\"count\":1.5}",        "{\"count\":\"1\"}",
                "{\"count\":1e10}", "{\"count\":4294967296}", "{\"count\":null}",
                "{\"truth\":1}",    "{\"truth\":\"true\"}",   "{\"text\":7}",
                "{\"text\":null}",  "{\"text\":[\"a\"]}",     "{\"count\":1e999}",
        };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct target target = {0};
                struct err err = {0};
                char name[8] = {0};
                ck_assert_msg(read_members(wrong[i], &target, &err) == -EINVAL, "%s", wrong[i]);
                memcpy(name, wrong[i] + 2, strcspn(wrong[i] + 2, "\""));
                ck_assert_msg(strncmp(err.text, name, strlen(name)) == 0, "%s: %s", wrong[i],
                              err.text);
        }
}
TEST_END

TEST_MAIN("api_parts", a_path_without_a_hole_matches_itself_alone, a_hole_takes_exactly_one_segment,
          a_path_may_have_a_version_behind_its_id, only_one_json_object_in_utf_8_is_a_body,
          a_nul_cannot_hide_the_end_of_a_text, a_body_of_many_values_is_refused_before_it_is_built,
          members_are_read_by_their_table, an_unknown_or_repeated_member_is_refused_by_name,
          a_value_of_the_wrong_kind_is_refused_by_name)
