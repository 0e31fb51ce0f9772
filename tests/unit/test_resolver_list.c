/* The name servers of a resolv.conf. */
#include "wire/resolver_list.h"

#include "testing.h"

#include <arpa/inet.h>
#include <net/if.h>

static struct resolver_list list;

static void parse(const char *text)
{
        resolver_list_parse(slice_of(text), &list);
}

static const char *server(size_t number)
{
        static char text[INET6_ADDRSTRLEN];
        const union resolver_address *address = &list.addresses[number];

        if (address->base.sa_family == AF_INET)
                return inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof(text));
        return inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof(text));
}

TEST(servers_come_in_their_order)
{
        parse("# by hand\nsearch example.org\nnameserver 10.0.0.1\nnameserver\t2001:db8::1 \n"
              "options edns0\nnameserver 10.0.0.2");
        ck_assert_uint_eq(list.count, 3);
        ck_assert_str_eq(server(0), "10.0.0.1");
        ck_assert_str_eq(server(1), "2001:db8::1");
        ck_assert_str_eq(server(2), "10.0.0.2");
        ck_assert_int_eq(list.addresses[0].v4.sin_port, htons(53));
        ck_assert_int_eq(list.addresses[1].v6.sin6_port, htons(53));
}
TEST_END

TEST(a_fourth_server_is_left_out)
{
        parse("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n");
        ck_assert_uint_eq(list.count, 3);
}
TEST_END

TEST(without_a_server_it_is_the_one_on_this_machine)
{
        static const char *const texts[] = {"",
                                            "\n\n",
                                            "search x\n",
                                            "nameserver\n",
                                            "nameserver one.one\n",
                                            "#nameserver 1.1.1.1\n",
                                            "nameservers 1.1.1.1\n",
                                            "nameserver 1.1.1.1.1\n"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                parse(texts[i]);
                ck_assert_uint_eq(list.count, 1);
                ck_assert_str_eq(server(0), "127.0.0.1");
        }
}
TEST_END

TEST(a_link_local_server_has_its_interface)
{
        parse("nameserver fe80::1%lo\n");
        ck_assert_uint_eq(list.count, 1);
        ck_assert_str_eq(server(0), "fe80::1");
        ck_assert_uint_eq(list.addresses[0].v6.sin6_scope_id, if_nametoindex("lo"));
}
TEST_END

TEST_MAIN("resolver_list", servers_come_in_their_order, a_fourth_server_is_left_out,
          without_a_server_it_is_the_one_on_this_machine, a_link_local_server_has_its_interface)
