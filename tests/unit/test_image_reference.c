/* References of images: Docker's defaults, and what none is. */
#include "wire/image_reference.h"

#include "testing.h"

#include <errno.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *located(const char *text)
{
        static char location[IMAGE_LOCATION_SIZE];
        struct image_reference reference;
        struct err err = {0};

        ck_assert_msg(image_reference_parse(slice_of(text), &reference, &err) == 0, "%s: %s", text,
                      err.text);
        image_reference_locate(&reference, NULL, location);
        return location;
}

TEST(what_is_not_said_is_dockers_default)
{
        ck_assert_str_eq(located("nginx"), "docker.io/library/nginx:latest");
        ck_assert_str_eq(located("nginx:1.27"), "docker.io/library/nginx:1.27");
        ck_assert_str_eq(located("team/app"), "docker.io/team/app:latest");
        ck_assert_str_eq(located("docker.io/nginx"), "docker.io/library/nginx:latest");
        ck_assert_str_eq(located("index.docker.io/team/app"), "docker.io/team/app:latest");
}
TEST_END

TEST(a_registry_has_a_dot_a_port_or_is_localhost)
{
        ck_assert_str_eq(located("registry.example/app:1"), "registry.example/app:1");
        ck_assert_str_eq(located("registry:5000/team/app"), "registry:5000/team/app:latest");
        ck_assert_str_eq(located("localhost/app"), "localhost/app:latest");
        ck_assert_str_eq(located("127.0.0.1:5000/a/b/c__d-e.f:T_1.2-3"),
                         "127.0.0.1:5000/a/b/c__d-e.f:T_1.2-3");
}
TEST_END

TEST(a_digest_counts_more_than_a_tag)
{
        ck_assert_str_eq(located("app@sha256:" HEX), "docker.io/library/app@sha256:" HEX);
        ck_assert_str_eq(located("r.example/app:1@sha256:" HEX), "r.example/app@sha256:" HEX);
}
TEST_END

TEST(what_is_no_reference_is_refused_with_a_sentence)
{
        static const char *const texts[] = {
                "",           "/",
                "a/",         "/a",
                "a//b",       "A",
                "a b",        "a:",
                "a:-x",       "a:b:c",
                "a@",         "a@sha256:12",
                "a@md5:" HEX, "-a",
                "a-",         "a..b",
                "a___b",      "a._b",
                "h:/a",       "h:x/a",
                "h:123456/a", "-h.x/a",
                "h-.x/a",     "h..x/a",
                "http://x/a", "a@sha256:" HEX "0",
                "..",         "../a",
                "h.x/",       "ä/b",
        };
        struct image_reference reference;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct err err = {0};
                ck_assert_msg(image_reference_parse(slice_of(texts[i]), &reference, &err) ==
                                      -EINVAL,
                              "taken: '%s'", texts[i]);
                ck_assert_ptr_nonnull(strstr(err.text, "is no reference"));
        }
}
TEST_END

TEST(lengths_are_bounded)
{
        char text[1200];
        struct image_reference reference;

        memset(text, 'a', sizeof(text));
        ck_assert_int_eq(image_reference_parse(slice_make(text, 247), &reference, NULL), 0);
        ck_assert_int_eq(image_reference_parse(slice_make(text, 256), &reference, NULL), -EINVAL);
        text[100] = ':';
        ck_assert_int_eq(image_reference_parse(slice_make(text, 101 + 128), &reference, NULL), 0);
        ck_assert_int_eq(image_reference_parse(slice_make(text, 101 + 129), &reference, NULL),
                         -EINVAL);
        text[100] = '.';
        text[300] = '/';
        ck_assert_int_eq(image_reference_parse(slice_make(text, 310), &reference, NULL), -EINVAL);
}
TEST_END

TEST(only_this_machine_itself_is_loopback)
{
        static const char *const own[] = {"localhost", "localhost:5000", "127.0.0.1",
                                          "127.9.9.9:1"};
        static const char *const others[] = {"127.evil.example", "128.0.0.1", "localhost.example",
                                             "docker.io",        "127.0.0",   "1270.0.0.1"};

        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
                ck_assert_msg(image_registry_is_loopback(own[i]), "%s", own[i]);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                ck_assert_msg(!image_registry_is_loopback(others[i]), "%s", others[i]);
}
TEST_END

TEST(a_list_names_a_registry_by_host_or_with_its_port)
{
        ck_assert(image_registry_is_listed("a.example:5000", "x, a.example"));
        ck_assert(image_registry_is_listed("a.example:5000", "a.example:5000,x"));
        ck_assert(!image_registry_is_listed("a.example:5000", "a.example:5001"));
        ck_assert(!image_registry_is_listed("a.example", "a.example.org,example"));
        ck_assert(!image_registry_is_listed("a.example", ""));
        ck_assert(!image_registry_is_listed("a.example", " , ,"));
}
TEST_END

static const char *named(const char *text, unsigned attempt, size_t size)
{
        static char name[64];
        struct image_reference reference;

        ck_assert_int_eq(image_reference_parse(slice_of(text), &reference, NULL), 0);
        image_reference_name(&reference, attempt, name, size);
        return name;
}

TEST(a_function_is_named_by_the_repositorys_last_part)
{
        ck_assert_str_eq(named("nginx", 0, 64), "nginx");
        ck_assert_str_eq(named("r.example/team/my_app.web:1", 0, 64), "my-app-web");
        ck_assert_str_eq(named("team/app", 1, 64), "app-2");
        ck_assert_str_eq(named("team/a__b", 9, 64), "a-b-10");
        ck_assert_str_eq(named("team/abcdefghijklmnopqrstuvwxyz", 2, 16), "abcdefghijklm-3");
        ck_assert_str_eq(named("team/abcdefghijkl-mnop", 2, 16), "abcdefghijkl-3");
}
TEST_END

TEST_MAIN("image_reference", what_is_not_said_is_dockers_default,
          a_registry_has_a_dot_a_port_or_is_localhost, a_digest_counts_more_than_a_tag,
          what_is_no_reference_is_refused_with_a_sentence, lengths_are_bounded,
          only_this_machine_itself_is_loopback, a_list_names_a_registry_by_host_or_with_its_port,
          a_function_is_named_by_the_repositorys_last_part)
