/* The registry's core when memory runs out: at whichever allocation it happens, the call says so,
 * nothing has changed, and nothing is lost. Linked with --wrap, so that allocations can be
 * refused. */
#include "core/registry/catalog.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

/* Allocations that still succeed; -1: all of them. */
static long allowed = -1;

static bool is_refused(void)
{
        if (allowed > 0)
                allowed--;
        else if (allowed == 0)
                return true;
        return false;
}

void *__wrap_malloc(size_t size)
{
        return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return is_refused() ? NULL : __real_calloc(count, size);
}

static struct function *function_of(const char *id, const char *owner)
{
        struct function *function = function_new();

        strcpy(function->id, id);
        strcpy(function->owner_id, owner);
        strcpy(function->name, id);
        return function;
}

TEST(a_catalog_is_made_whole_or_not_at_all)
{
        struct user *jo = user_new(), *al = user_new();
        struct function *one = function_of("1", "jo"), *two = function_of("2", "al");
        struct catalog_change first[] = {
                {.kind = CATALOG_USER_PUT, .user = jo},
                {.kind = CATALOG_FUNCTION_PUT, .function = one},
        };
        struct catalog_change second[] = {
                {.kind = CATALOG_USER_REMOVE, .id = "jo"},
                {.kind = CATALOG_USER_PUT, .user = al},
                {.kind = CATALOG_FUNCTION_PUT, .function = two},
        };
        struct catalog *empty = catalog_new_empty(1), *before, *after = NULL;
        long refusals = 0;

        strcpy(jo->id, "jo");
        strcpy(al->id, "al");
        before = catalog_with(empty, first, 2);
        for (; !after; refusals++) {
                allowed = refusals;
                after = catalog_with(before, second, 3);
                allowed = -1;
                if (after)
                        break;
                ck_assert_uint_eq(jo->references, 2);
                ck_assert_uint_eq(al->references, 1);
                ck_assert_uint_eq(one->references, 2);
                ck_assert_uint_eq(two->references, 1);
                ck_assert_ptr_eq(catalog_find_user(before, SLICE("jo")), jo);
        }
        ck_assert_int_gt(refusals, 10);
        ck_assert_ptr_null(catalog_find_function(after, SLICE("1")));
        ck_assert_ptr_eq(catalog_find_function(after, SLICE("2")), two);
        catalog_free(after);
        catalog_free(before);
        catalog_free(empty);
        ck_assert_uint_eq(two->references, 1);
        user_unref(jo);
        user_unref(al);
        function_unref(one);
        function_unref(two);
}
TEST_END

TEST(a_value_that_cannot_be_made_or_copied_is_null)
{
        static const char *const env[] = {"A=1", "B=2"};
        struct function *function = function_of("1", "jo"), *copy = NULL, *no_function;
        struct catalog *no_catalog;
        struct user *no_user;
        long refusals = 0;
        int r;

        ck_assert_int_eq(function_set_env(function, 2, env), 0);
        allowed = 0; /* for Check's own assertions, too */
        no_user = user_new();
        no_function = function_new();
        no_catalog = catalog_new_empty(1);
        r = function_set_env(function, 1, env);
        for (; !copy; refusals++) {
                allowed = refusals;
                copy = function_copy(function);
        }
        allowed = -1;
        ck_assert_ptr_null(no_user);
        ck_assert_ptr_null(no_function);
        ck_assert_ptr_null(no_catalog);
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert_int_eq(refusals, 3); /* the value, its environment, and then it is made */
        ck_assert_uint_eq(function->env_count, 2);
        ck_assert_str_eq(function->env[1], "B=2");
        ck_assert_str_eq(copy->env[1], "B=2");
        function_unref(copy);
        function_unref(function);
}
TEST_END

TEST_MAIN("out_of_memory", a_catalog_is_made_whole_or_not_at_all,
          a_value_that_cannot_be_made_or_copied_is_null)
