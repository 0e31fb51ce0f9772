/* Names of ranges that a function may reach. */
#include "core/registry/reach.h"

#include "testing.h"

#include <errno.h>

static const struct reach_names known = {.count = 3, .names = {"db", "office", "office-2"}};
static struct err err;

TEST(names_have_the_bits_of_their_places)
{
        uint32_t bits = 99;

        ck_assert_int_eq(reach_resolve(SLICE(""), &known, &bits, &err), 0);
        ck_assert_uint_eq(bits, 0);
        ck_assert_int_eq(reach_resolve(SLICE("office-2,db"), &known, &bits, &err), 0);
        ck_assert_uint_eq(bits, 5);
}
TEST_END

TEST(a_name_that_is_not_known_is_told_and_the_others_count)
{
        uint32_t bits = 0;

        ck_assert_int_eq(reach_resolve(SLICE("office,moon"), &known, &bits, &err), -ENOENT);
        ck_assert_uint_eq(bits, 2);
        ck_assert_str_eq(err.text, "reach 'moon' is not known here: the server defines ranges with "
                                   "--egress-range moon=10.0.0.0/8");
}
TEST_END

TEST(names_are_spelled_as_names_and_said_once)
{
        static const char *const wrong[] = {
                ",",   "a,",  ",a", "a,,b", "A",
                "a b", "a,a", "-a", "a_b",  "a-name-that-is-longer-than-it-may"};

        ck_assert_int_eq(reach_validate(SLICE(""), &err), 0);
        ck_assert_int_eq(reach_validate(SLICE("a"), &err), 0);
        ck_assert_int_eq(reach_validate(SLICE("a,b-1,a1"), &err), 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_msg(reach_validate(slice_of(wrong[i]), &err) == -EINVAL, "'%s'",
                              wrong[i]);
}
TEST_END

TEST(there_are_not_more_than_sixteen)
{
        ck_assert_int_eq(reach_validate(SLICE("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"), &err), 0);
        ck_assert_int_eq(reach_validate(SLICE("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "reach has more than 16 names");
}
TEST_END

TEST_MAIN("reach", names_have_the_bits_of_their_places,
          a_name_that_is_not_known_is_told_and_the_others_count,
          names_are_spelled_as_names_and_said_once, there_are_not_more_than_sixteen)
