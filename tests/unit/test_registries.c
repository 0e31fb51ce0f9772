/* Addresses that lead out of the host's own networks, and those that do not. */
#include "adapters/images/registries.h"

#include "testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool is_global(const char *text)
{
        struct sockaddr_in ipv4 = {.sin_family = AF_INET};
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};

        if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
                return address_is_global((const struct sockaddr *)&ipv4);
        ck_assert_int_eq(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
        return address_is_global((const struct sockaddr *)&ipv6);
}

TEST(addresses_of_the_internet_are_global)
{
        static const char *const texts[] = {
                "1.1.1.1",        "9.255.255.255",  "11.0.0.0",         "100.63.1.1",
                "100.128.0.0",    "172.15.0.1",     "172.32.0.0",       "192.169.0.0",
                "198.17.255.255", "223.255.0.1",    "2606:4700::1111",  "2001:4860:4860::8888",
                "2a00::1",        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                ck_assert_msg(is_global(texts[i]), "%s", texts[i]);
}
TEST_END

TEST(all_others_are_not)
{
        static const char *const texts[] = {
                "0.0.0.0",
                "10.1.2.3",
                "100.64.0.1",
                "127.0.0.1",
                "127.255.0.1",
                "169.254.169.254",
                "172.16.0.1",
                "172.31.255.255",
                "192.0.0.1",
                "192.0.2.1",
                "192.168.1.1",
                "198.18.0.1",
                "198.51.100.7",
                "203.0.113.9",
                "224.0.0.1",
                "255.255.255.255",
                "::",
                "::1",
                "fe80::1",
                "fc00::1",
                "fd12::1",
                "ff02::1",
                "2001:db8::1",
                "2001::1",
                "2002:a00:1::",
                "64:ff9b::a00:1",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "::7f00:1",
                "64:ff9b:1::1",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                ck_assert_msg(!is_global(texts[i]), "%s", texts[i]);
}
TEST_END

static enum image_result check(const char *only, const char *insecure, const char *registry)
{
        const struct images_options options = {.registries = only, .insecure_registries = insecure};
        struct err err = {0};
        enum image_result result = registries_check(&options, registry, &err);

        ck_assert_int_eq(result == IMAGE_READY, err.text[0] == '\0');
        return result;
}

TEST(a_registry_is_asked_by_its_address_or_because_it_is_named)
{
        ck_assert_int_eq(check("", "", "8.8.8.8"), IMAGE_READY);
        ck_assert_int_eq(check("", "", "8.8.8.8:5000"), IMAGE_READY);
        ck_assert_int_eq(check("", "", "127.0.0.1:5000"), IMAGE_REGISTRY_REFUSED);
        ck_assert_int_eq(check("", "", "localhost"), IMAGE_REGISTRY_REFUSED);
        ck_assert_int_eq(check("", "x,127.0.0.1", "127.0.0.1:5000"), IMAGE_READY);
        ck_assert_int_eq(check("127.0.0.1:5000", "", "127.0.0.1:5000"), IMAGE_READY);
        ck_assert_int_eq(check("127.0.0.1:5000", "", "127.0.0.1:5001"), IMAGE_REGISTRY_REFUSED);
        ck_assert_int_eq(check("a.example", "127.0.0.1", "127.0.0.1"), IMAGE_REGISTRY_REFUSED);
        ck_assert_int_eq(check("a.example", "", "8.8.8.8"), IMAGE_REGISTRY_REFUSED);
}
TEST_END

TEST_MAIN("registries", addresses_of_the_internet_are_global, all_others_are_not,
          a_registry_is_asked_by_its_address_or_because_it_is_named)
