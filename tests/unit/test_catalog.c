/* The catalog: what was put in is found, what was removed is not, and old snapshots stay. */
#include "core/registry/catalog.h"

#include "testing.h"

#include <stdio.h>

static struct user *user_of(const char *id, const char *name)
{
        struct user *user = user_new();

        ck_assert_ptr_nonnull(user);
        strcpy(user->id, id);
        (void)snprintf(user->email, sizeof(user->email), "%s@example.org", name);
        strcpy(user->name_space, name);
        return user;
}

static struct function *function_of(const char *id, const struct user *owner, const char *name)
{
        struct function *function = function_new();

        ck_assert_ptr_nonnull(function);
        strcpy(function->id, id);
        strcpy(function->owner_id, owner->id);
        strcpy(function->owner_name_space, owner->name_space);
        strcpy(function->name, name);
        memset(function->code_digest, id[0], DIGEST_LENGTH);
        return function;
}

/* `catalog` is replaced; what is put is given away. */
static void apply(struct catalog **catalog, struct catalog_change change)
{
        struct catalog *next = catalog_with(*catalog, &change, 1);

        ck_assert_ptr_nonnull(next);
        catalog_free(*catalog);
        *catalog = next;
}

static void put_user(struct catalog **catalog, struct user *user)
{
        apply(catalog, (struct catalog_change){.kind = CATALOG_USER_PUT, .user = user});
        user_unref(user);
}

static void put_function(struct catalog **catalog, struct function *function)
{
        apply(catalog, (struct catalog_change){.kind = CATALOG_FUNCTION_PUT, .function = function});
        function_unref(function);
}

static bool collect(struct function *function, void *context)
{
        char *text = context;

        strcat(text, function->id);
        return strlen(text) < 3;
}

static const char *list_of(const struct catalog *catalog, const char *owner)
{
        static char text[64];

        text[0] = '\0';
        if (owner)
                catalog_each_function_of(catalog, slice_of(owner), collect, text);
        else
                catalog_each_function(catalog, collect, text);
        return text;
}

TEST(an_empty_catalog_knows_nobody)
{
        struct catalog *catalog = catalog_new_empty(1);

        ck_assert_ptr_null(catalog_find_user(catalog, SLICE("u")));
        ck_assert_ptr_null(catalog_find_user(catalog, SLICE("")));
        ck_assert_ptr_null(catalog_find_function(catalog, SLICE("f")));
        ck_assert_uint_eq(catalog_user_count(catalog), 0);
        ck_assert_uint_eq(catalog_each_function(catalog, collect, NULL), 0);
        ck_assert(!catalog_uses_digest(catalog, "a"));
        catalog_free(catalog);
        catalog_free(NULL);
}
TEST_END

TEST(a_user_is_found_by_id_address_and_namespace)
{
        struct catalog *catalog = catalog_new_empty(2);
        struct user *jo;

        put_user(&catalog, user_of("1", "jo"));
        put_user(&catalog, user_of("2", "al"));
        jo = catalog_find_user(catalog, SLICE("1"));
        ck_assert_str_eq(jo->name_space, "jo");
        ck_assert_ptr_eq(catalog_find_user_by_email(catalog, SLICE("jo@example.org")), jo);
        ck_assert_ptr_eq(catalog_find_user_by_name_space(catalog, SLICE("jo")), jo);
        ck_assert_ptr_null(catalog_find_user(catalog, SLICE("3")));
        ck_assert_ptr_null(catalog_find_user_by_email(catalog, SLICE("jo@example.or")));
        ck_assert_ptr_null(catalog_find_user_by_name_space(catalog, SLICE("jo\0")));
        ck_assert_uint_eq(catalog_user_count(catalog), 2);
        catalog_free(catalog);
}
TEST_END

TEST(a_function_is_found_by_id_by_owner_and_name_and_by_route)
{
        struct catalog *catalog = catalog_new_empty(3);
        struct user *jo = user_of("1", "jo"), *al = user_of("2", "al");
        struct function *function;

        put_function(&catalog, function_of("a", jo, "hello"));
        put_function(&catalog, function_of("b", al, "hello"));
        function = catalog_find_function(catalog, SLICE("b"));
        ck_assert_str_eq(function->owner_id, "2");
        ck_assert_ptr_eq(catalog_find_function_by_name(catalog, SLICE("2"), SLICE("hello")),
                         function);
        ck_assert_ptr_eq(catalog_find_function_by_route(catalog, SLICE("al"), SLICE("hello")),
                         function);
        ck_assert_ptr_null(catalog_find_function_by_name(catalog, SLICE("3"), SLICE("hello")));
        ck_assert_ptr_null(catalog_find_function_by_name(catalog, SLICE("2h"), SLICE("ello")));
        ck_assert_ptr_null(catalog_find_function_by_route(catalog, SLICE("al"), SLICE("hell")));
        ck_assert_ptr_null(catalog_find_function(catalog, SLICE("c")));
        user_unref(jo);
        user_unref(al);
        catalog_free(catalog);
}
TEST_END

TEST(a_new_version_replaces_the_old_one_and_an_old_catalog_still_shows_it)
{
        struct catalog *before = catalog_new_empty(4), *after;
        struct user *jo = user_of("1", "jo");
        struct function *next = function_of("a", jo, "renamed");
        struct catalog_change change = {.kind = CATALOG_FUNCTION_PUT, .function = next};

        put_function(&before, function_of("a", jo, "hello"));
        next->version = 2;
        after = catalog_with(before, &change, 1);
        ck_assert_uint_eq(catalog_find_function(before, SLICE("a"))->version, 1);
        ck_assert_ptr_eq(catalog_find_function(after, SLICE("a")), next);
        ck_assert_ptr_null(catalog_find_function_by_name(after, SLICE("1"), SLICE("hello")));
        ck_assert_ptr_eq(catalog_find_function_by_route(after, SLICE("jo"), SLICE("renamed")),
                         next);
        ck_assert_uint_eq(next->references, 2);
        catalog_free(after);
        ck_assert_uint_eq(next->references, 1);
        catalog_free(before);
        function_unref(next);
        user_unref(jo);
}
TEST_END

TEST(a_removed_user_takes_all_functions_along_even_those_of_the_same_batch)
{
        struct catalog *catalog = catalog_new_empty(5), *after;
        struct user *jo = user_of("1", "jo"), *al = user_of("2", "al");
        struct function *late = function_of("d", jo, "late");
        struct catalog_change changes[] = {
                {.kind = CATALOG_FUNCTION_PUT, .function = late},
                {.kind = CATALOG_USER_REMOVE, .id = "1"},
        };

        put_user(&catalog, user_ref(jo));
        put_user(&catalog, user_ref(al));
        put_function(&catalog, function_of("a", jo, "one"));
        put_function(&catalog, function_of("b", al, "two"));
        put_function(&catalog, function_of("c", jo, "three"));
        after = catalog_with(catalog, changes, 2);
        ck_assert_str_eq(list_of(catalog, NULL), "abc");
        ck_assert_str_eq(list_of(after, NULL), "b");
        ck_assert_str_eq(list_of(after, "1"), "");
        ck_assert_uint_eq(catalog_user_count(after), 1);
        ck_assert_ptr_null(catalog_find_user_by_email(after, SLICE("jo@example.org")));
        ck_assert_uint_eq(late->references, 1);
        catalog_free(catalog);
        catalog_free(after);
        function_unref(late);
        user_unref(jo);
        user_unref(al);
}
TEST_END

TEST(of_several_changes_to_one_function_the_last_one_counts)
{
        struct catalog *empty = catalog_new_empty(6), *catalog;
        struct user *jo = user_of("1", "jo");
        struct function *one = function_of("a", jo, "a"), *two = function_of("a", jo, "a"),
                        *gone = function_of("b", jo, "b");
        struct catalog_change changes[] = {
                {.kind = CATALOG_FUNCTION_PUT, .function = one},
                {.kind = CATALOG_FUNCTION_PUT, .function = gone},
                {.kind = CATALOG_FUNCTION_PUT, .function = two},
                {.kind = CATALOG_FUNCTION_REMOVE, .id = "b"},
                {.kind = CATALOG_FUNCTION_REMOVE, .id = "never-there"},
        };

        catalog = catalog_with(empty, changes, 5);
        ck_assert_ptr_eq(catalog_find_function(catalog, SLICE("a")), two);
        ck_assert_ptr_null(catalog_find_function(catalog, SLICE("b")));
        ck_assert_str_eq(list_of(catalog, NULL), "a");
        catalog_free(empty);
        catalog_free(catalog);
        function_unref(one);
        function_unref(two);
        function_unref(gone);
        user_unref(jo);
}
TEST_END

TEST(functions_are_listed_in_order_of_their_ids_until_the_visitor_has_enough)
{
        struct catalog *catalog = catalog_new_empty(7);
        struct user *jo = user_of("1", "jo"), *al = user_of("2", "al");

        put_function(&catalog, function_of("e", jo, "e"));
        put_function(&catalog, function_of("a", jo, "a"));
        put_function(&catalog, function_of("c", jo, "c"));
        put_function(&catalog, function_of("b", al, "b"));
        put_function(&catalog, function_of("d", jo, "d"));
        ck_assert_str_eq(list_of(catalog, NULL), "abc");
        ck_assert_str_eq(list_of(catalog, "1"), "acd");
        ck_assert_str_eq(list_of(catalog, "2"), "b");
        ck_assert_uint_eq(catalog_each_function_of(catalog, SLICE("1"), collect, (char[64]){""}),
                          4);
        user_unref(jo);
        user_unref(al);
        catalog_free(catalog);
}
TEST_END

TEST(code_is_in_use_as_long_as_one_function_has_it)
{
        struct catalog *catalog = catalog_new_empty(8);
        struct user *jo = user_of("1", "jo");
        struct function *one = function_of("a", jo, "one"), *two = function_of("b", jo, "two");
        char digest[DIGEST_LENGTH + 1];

        strcpy(two->code_digest, one->code_digest);
        strcpy(digest, one->code_digest);
        put_function(&catalog, one);
        put_function(&catalog, two);
        apply(&catalog, (struct catalog_change){.kind = CATALOG_FUNCTION_REMOVE, .id = "a"});
        ck_assert(catalog_uses_digest(catalog, digest));
        apply(&catalog, (struct catalog_change){.kind = CATALOG_FUNCTION_REMOVE, .id = "b"});
        ck_assert(!catalog_uses_digest(catalog, digest));
        user_unref(jo);
        catalog_free(catalog);
}
TEST_END

TEST(ten_thousand_functions_are_all_found_and_nothing_else)
{
        enum { COUNT = 10000 };
        static struct catalog_change changes[COUNT];
        struct catalog *empty = catalog_new_empty(9), *catalog;
        struct user *jo = user_of("1", "jo");
        char text[32];

        for (int i = 0; i < COUNT; i++) {
                (void)snprintf(text, sizeof(text), "%08d", (i * 7919) % COUNT);
                changes[i] = (struct catalog_change){.kind = CATALOG_FUNCTION_PUT,
                                                     .function = function_of(text, jo, text)};
        }
        catalog = catalog_with(empty, changes, COUNT);
        for (int i = 0; i < COUNT; i++) {
                struct function *function = changes[i].function;
                struct slice name = slice_of(function->name);
                ck_assert_ptr_eq(catalog_find_function(catalog, slice_of(function->id)), function);
                ck_assert_ptr_eq(catalog_find_function_by_name(catalog, SLICE("1"), name),
                                 function);
                ck_assert_ptr_eq(catalog_find_function_by_route(catalog, SLICE("jo"), name),
                                 function);
        }
        ck_assert_ptr_null(catalog_find_function(catalog, SLICE("00010000")));
        ck_assert_uint_eq(catalog_each_function_of(catalog, SLICE("1"), collect, (char[64]){""}),
                          COUNT);
        catalog_free(empty);
        catalog_free(catalog);
        for (int i = 0; i < COUNT; i++)
                function_unref(changes[i].function);
        user_unref(jo);
}
TEST_END

TEST_MAIN("catalog", an_empty_catalog_knows_nobody, a_user_is_found_by_id_address_and_namespace,
          a_function_is_found_by_id_by_owner_and_name_and_by_route,
          a_new_version_replaces_the_old_one_and_an_old_catalog_still_shows_it,
          a_removed_user_takes_all_functions_along_even_those_of_the_same_batch,
          of_several_changes_to_one_function_the_last_one_counts,
          functions_are_listed_in_order_of_their_ids_until_the_visitor_has_enough,
          code_is_in_use_as_long_as_one_function_has_it,
          ten_thousand_functions_are_all_found_and_nothing_else)
