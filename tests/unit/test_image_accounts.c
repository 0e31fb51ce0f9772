/* Who an image's user is. */
#include "adapters/images/accounts.h"

#include "testing.h"

#include <errno.h>

#define LITERAL(text)                                                                              \
        {                                                                                          \
                text, sizeof(text) - 1                                                             \
        }

static const struct slice users = LITERAL("root:x:0:0:root:/root:/bin/sh\n"
                                          "\n"
                                          "half:x\n"
                                          "web:x:101:7:Web:/srv/web:/bin/false\n"
                                          "1000:x:5:6::/five:\n"
                                          "big:x:70000:1::/:\n"
                                          "last:x:9:9::/last:");
static const struct slice groups =
        LITERAL("root:x:0:\nstaff:x:50:web,root\nhalf:x\nhuge:x:99999999999:\n");

static void expect(const char *text, uint32_t user, uint32_t group, const char *home)
{
        struct account account;
        struct err err = {0};

        ck_assert_msg(account_find(text, users, groups, &account, &err) == 0, "%s: %s", text,
                      err.text);
        ck_assert_uint_eq(account.user, user);
        ck_assert_uint_eq(account.group, group);
        ck_assert_str_eq(account.home, home);
}

TEST(names_and_numbers_are_looked_up)
{
        expect("", 0, 0, "/root");
        expect("web", 101, 7, "/srv/web");
        expect("101", 101, 7, "/srv/web");
        expect("web:staff", 101, 50, "/srv/web");
        expect("web:0", 101, 0, "/srv/web");
        expect(":staff", 0, 50, "/root");
        expect("4242", 4242, 0, "");
        expect("4242:4343", 4242, 4343, "");
        expect("65535:65535", 65535, 65535, "");
        expect("last", 9, 9, "/last");
}
TEST_END

TEST(a_name_of_digits_is_a_name_first)
{
        expect("1000", 5, 6, "/five");
}
TEST_END

static void expect_refusal(const char *text, const char *words)
{
        struct account account;
        struct err err = {0};

        ck_assert_int_eq(account_find(text, users, groups, &account, &err), -EINVAL);
        ck_assert_msg(strstr(err.text, words), "%s: %s", text, err.text);
}

TEST(who_is_not_known_or_cannot_be_is_refused)
{
        expect_refusal("nobody", "user 'nobody' is not in its /etc/passwd");
        expect_refusal("half", "not in its /etc/passwd");
        expect_refusal("web:nobody", "group 'nobody' is not in its /etc/group");
        expect_refusal("web:huge", "not in its /etc/group");
        expect_refusal("65536", "has the number 65536: a sandbox has those up to 65535");
        expect_refusal("0:65536", "up to 65535");
        expect_refusal("big", "up to 65535");
        expect_refusal("-1", "not in its /etc/passwd");
        expect_refusal("99999999999", "not in its /etc/passwd");
}
TEST_END

TEST(without_files_only_numbers_are_known)
{
        const struct slice none = {NULL, 0};
        struct account account;

        ck_assert_int_eq(account_find("", none, none, &account, NULL), 0);
        ck_assert_uint_eq(account.user, 0);
        ck_assert_int_eq(account_find("7:8", none, none, &account, NULL), 0);
        ck_assert_int_eq(account_find("root", none, none, &account, NULL), -EINVAL);
}
TEST_END

TEST_MAIN("image_accounts", names_and_numbers_are_looked_up, a_name_of_digits_is_a_name_first,
          who_is_not_known_or_cannot_be_is_refused, without_files_only_numbers_are_known)
