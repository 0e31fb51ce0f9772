/* Ranges of addresses as people write them, and by name. */
#include "wire/address_range.h"

#include "testing.h"

#include <errno.h>

static struct address_range range;
static struct named_range named;
static struct err err;

static int parse(const char *text)
{
        return address_range_parse(slice_of(text), &range, &err);
}

static int parse_named(const char *text)
{
        return named_range_parse(slice_of(text), &named, &err);
}

TEST(a_range_is_an_address_and_a_prefix)
{
        char text[ADDRESS_RANGE_TEXT_MAX];

        ck_assert_int_eq(parse("10.20.0.0/16"), 0);
        ck_assert_uint_eq(range.first, 0x0a140000);
        ck_assert_uint_eq(range.prefix, 16);
        address_range_format(range, text);
        ck_assert_str_eq(text, "10.20.0.0/16");
        ck_assert_int_eq(parse("192.168.1.7"), 0);
        ck_assert_uint_eq(range.prefix, 32);
        ck_assert_int_eq(parse("0.0.0.0/0"), 0);
        ck_assert(address_range_has(range, UINT32_MAX));
        ck_assert_int_eq(parse("255.255.255.255/32"), 0);
        address_range_format(range, text);
        ck_assert_str_eq(text, "255.255.255.255/32");
}
TEST_END

TEST(what_is_no_range_is_refused)
{
        static const char *const texts[] = {"",
                                            "10",
                                            "10.0.0",
                                            "10.0.0.0/",
                                            "10.0.0.0/33",
                                            "10.0.0.256",
                                            "10.0.0.0/8/8",
                                            "10.0.0.0.0",
                                            "010.0.0.0/8",
                                            "10.0.0.0/08",
                                            " 10.0.0.0/8",
                                            "10.0.0.0/8 ",
                                            "10.0.0.-1",
                                            "fd00::/8",
                                            "10.0.0.0/4294967304"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                ck_assert_msg(parse(texts[i]) == -EINVAL, "'%s'", texts[i]);
        ck_assert_int_eq(parse("10.0.0.1/8"), -EINVAL);
        ck_assert_str_eq(err.text, "'10.0.0.1/8' has bits set behind its prefix");
}
TEST_END

TEST(ranges_overlap_where_one_lies_in_the_other)
{
        const struct address_range office = {0x0a010000, 16}, all_tens = {0x0a000000, 8},
                                   next = {0x0a020000, 16};

        ck_assert(address_range_overlaps(office, all_tens));
        ck_assert(address_range_overlaps(all_tens, office));
        ck_assert(address_range_overlaps(office, office));
        ck_assert(!address_range_overlaps(office, next));
}
TEST_END

TEST(a_name_stands_for_one_range_or_several)
{
        ck_assert_int_eq(parse_named("db=10.1.0.0/16"), 0);
        ck_assert_str_eq(named.name, "db");
        ck_assert_uint_eq(named.count, 1);
        ck_assert_int_eq(parse_named("office-2=10.1.2.3,192.168.0.0/16"), 0);
        ck_assert_uint_eq(named.count, 2);
        ck_assert_uint_eq(named.parts[1].first, 0xc0a80000);
}
TEST_END

TEST(a_name_without_a_meaning_is_refused)
{
        static const char *const texts[] = {"",
                                            "db",
                                            "db=",
                                            "=10.0.0.0",
                                            "DB=10.0.0.0",
                                            "-db=10.0.0.0",
                                            "d b=1.1.1.1",
                                            "db=10.0.0.0,",
                                            "db=,10.0.0.0",
                                            "db=10.0.0.0,,10.0.0.1",
                                            "a-name-that-is-longer-than-it-may=10.0.0.0"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                ck_assert_msg(parse_named(texts[i]) == -EINVAL, "'%s'", texts[i]);
}
TEST_END

TEST(nobody_can_be_let_reach_this_host_or_link_local_addresses_by_name)
{
        static const char *const texts[] = {
                "x=127.0.0.1",   "x=0.0.0.0/0",          "x=169.254.169.254", "x=224.0.0.1",
                "x=128.0.0.0/1", "x=10.0.0.0/8,0.0.0.0", "x=240.0.0.0/4",     "x=255.255.255.255"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                ck_assert_int_eq(parse_named(texts[i]), -EINVAL);
                ck_assert_ptr_nonnull(strstr(err.text, "no function may reach"));
        }
}
TEST_END

TEST_MAIN("address_range", a_range_is_an_address_and_a_prefix, what_is_no_range_is_refused,
          ranges_overlap_where_one_lies_in_the_other, a_name_stands_for_one_range_or_several,
          a_name_without_a_meaning_is_refused,
          nobody_can_be_let_reach_this_host_or_link_local_addresses_by_name)
