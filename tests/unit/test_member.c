/* Which names and links a bundle may have. */
#include "adapters/archive/member.h"

#include "testing.h"

#include <errno.h>

static const char *cleaned(const char *raw)
{
        static char path[MEMBER_PATH_MAX + 1];

        ck_assert_int_eq(member_path_clean(slice_of(raw), path, NULL), 0);
        return path;
}

static const char *refusal(struct slice raw)
{
        static struct err err;
        char path[MEMBER_PATH_MAX + 1];

        ck_assert_int_eq(member_path_clean(raw, path, &err), -EINVAL);
        return err.text;
}

TEST(a_path_has_one_spelling)
{
        ck_assert_str_eq(cleaned("main.py"), "main.py");
        ck_assert_str_eq(cleaned("./a//b/./c/"), "a/b/c");
        ck_assert_str_eq(cleaned("./"), "");
        ck_assert_str_eq(cleaned(""), "");
        ck_assert_str_eq(cleaned("..."), "...");
        ck_assert_str_eq(cleaned("a/..b"), "a/..b");
        ck_assert_str_eq(cleaned("\xc3\xa4.txt"), "\xc3\xa4.txt");
}
TEST_END

TEST(a_path_that_leads_out_or_that_tools_disagree_on_is_refused)
{
        ck_assert_str_eq(refusal(SLICE("../x")), "'../x' leads out of the bundle");
        ck_assert_str_eq(refusal(SLICE("a/../b")), "'a/../b' leads out of the bundle");
        ck_assert_str_eq(refusal(SLICE("a/..")), "'a/..' leads out of the bundle");
        ck_assert_str_eq(refusal(SLICE("/etc/passwd")), "'/etc/passwd' is an absolute path");
        ck_assert_str_eq(refusal(SLICE("a\\b")),
                         "'a\\b' holds a backslash: folders are parted by '/'");
        ck_assert_str_eq(refusal(SLICE("a\nb")), "'a?b' holds a control character");
        ck_assert_str_eq(refusal(SLICE("a\0b")), "'a?b' holds a control character");
        ck_assert_str_eq(refusal(SLICE("a\x7f")), "'a?' holds a control character");
        ck_assert_str_eq(refusal(SLICE("a\xff")), "'a?' is not a name in UTF-8");
}
TEST_END

TEST(a_path_is_bounded_in_length_and_depth)
{
        char text[MEMBER_PATH_MAX + 2], path[MEMBER_PATH_MAX + 1];

        memset(text, 'x', sizeof(text));
        ck_assert_int_eq(member_path_clean(slice_make(text, MEMBER_PART_MAX), path, NULL), 0);
        ck_assert_ptr_nonnull(strstr(refusal(slice_make(text, MEMBER_PART_MAX + 1)),
                                     "a name has at most 255 bytes"));
        for (size_t i = MEMBER_PART_MAX; i < sizeof(text); i += MEMBER_PART_MAX + 1)
                text[i] = '/';
        ck_assert_int_eq(member_path_clean(slice_make(text, MEMBER_PATH_MAX), path, NULL), 0);
        ck_assert_ptr_nonnull(strstr(refusal(slice_make(text, MEMBER_PATH_MAX + 1)),
                                     "a path has at most 1023 bytes"));
        for (size_t i = 0; i < sizeof(text); i++)
                text[i] = i % 2 ? '/' : 'd';
        ck_assert_int_eq(member_path_clean(slice_make(text, 2 * MEMBER_DEPTH_MAX), path, NULL), 0);
        ck_assert_ptr_nonnull(
                strstr(refusal(slice_make(text, 2 * MEMBER_DEPTH_MAX + 1)), "at most 64 folders"));
}
TEST_END

TEST(a_link_may_climb_as_high_as_the_bundle_and_then_descend)
{
        static const struct {
                const char *path, *target;
        } cases[] = {
                {"a", "b"},      {"a", "./b"},         {"a", "b/c/d"},
                {"d/a", "../b"}, {"d/e/a", "../../b"}, {"node_modules/.bin/x", "../x/cli.js"},
                {"d/a", ".."},   {"d/a", ".././b"},    {"a", "."},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(member_link_check(cases[i].path, slice_of(cases[i].target), NULL) ==
                                      0,
                              "%s -> %s", cases[i].path, cases[i].target);
}
TEST_END

TEST(a_link_that_leads_out_or_climbs_on_its_way_down_is_refused)
{
        static const struct {
                const char *path, *target, *sentence;
        } cases[] = {
                {"a", "..", "the link 'a' leads out of the bundle, to '..'"},
                {"a", "../x", "the link 'a' leads out of the bundle, to '../x'"},
                {"d/a", "../../x", "the link 'd/a' leads out of the bundle, to '../../x'"},
                {"a", "/etc", "the link 'a' leads out of the bundle: '/etc' is an absolute path"},
                {"a", "b/../../x",
                 "the link 'a' leads to 'b/../../x': '..' is allowed at the beginning only"},
                {"a", "", "the link 'a' leads nowhere"},
                {"a", "b\nc",
                 "the link 'a' leads out of the bundle: 'b?c' holds a control "
                 "character"},
        };
        struct err err;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ck_assert_int_eq(member_link_check(cases[i].path, slice_of(cases[i].target), &err),
                                 -EINVAL);
                ck_assert_str_eq(err.text, cases[i].sentence);
        }
}
TEST_END

TEST_MAIN("member", a_path_has_one_spelling,
          a_path_that_leads_out_or_that_tools_disagree_on_is_refused,
          a_path_is_bounded_in_length_and_depth,
          a_link_may_climb_as_high_as_the_bundle_and_then_descend,
          a_link_that_leads_out_or_climbs_on_its_way_down_is_refused)
