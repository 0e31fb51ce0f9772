/* The vocabulary of rtnetlink(7) as far as it is spoken here; see link_requests.h. */
#include "agent/link_requests.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

void link_make_mac(uint32_t number, uint8_t end, uint8_t ret_mac[MAC_SIZE])
{
        ret_mac[0] = 0x02;
        ret_mac[1] = end;
        for (int i = 0; i < 4; i++)
                ret_mac[2 + i] = (uint8_t)(number >> (24 - 8 * i));
}

static void put_address(struct netlink_requests *requests, uint16_t attribute, uint32_t address)
{
        netlink_put_u32(requests, attribute, htonl(address));
}

static void put_end(struct netlink_requests *requests, const struct link_end *end, uint32_t mtu)
{
        netlink_put_text(requests, IFLA_IFNAME, end->name);
        netlink_put_u32(requests, IFLA_MTU, mtu);
        netlink_put(requests, IFLA_ADDRESS, end->mac, MAC_SIZE);
        if (end->group != 0)
                netlink_put_u32(requests, IFLA_GROUP, end->group);
        if (end->namespace_fd >= 0)
                netlink_put_u32(requests, IFLA_NET_NS_FD, (uint32_t)end->namespace_fd);
}

void link_request_pair(struct netlink_requests *requests, const struct link_end *first,
                       const struct link_end *second, uint32_t mtu)
{
        const struct ifinfomsg header = {
                .ifi_index = (int)first->index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
        const struct ifinfomsg peer_header = {.ifi_index = (int)second->index};
        size_t info, data, peer;

        netlink_begin(requests, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
        put_end(requests, first, mtu);
        info = netlink_nest(requests, IFLA_LINKINFO);
        netlink_put_text(requests, IFLA_INFO_KIND, "veth");
        data = netlink_nest(requests, IFLA_INFO_DATA);
        peer = netlink_nest(requests, VETH_INFO_PEER);
        netlink_put_raw(requests, &peer_header, sizeof(peer_header));
        put_end(requests, second, mtu);
        netlink_end_nest(requests, peer);
        netlink_end_nest(requests, data);
        netlink_end_nest(requests, info);
}

void link_request_up(struct netlink_requests *requests, uint32_t index)
{
        const struct ifinfomsg header = {
                .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

        netlink_begin(requests, RTM_NEWLINK, 0, &header, sizeof(header));
}

void link_request_removal(struct netlink_requests *requests, const char *name)
{
        const struct ifinfomsg header = {0};

        netlink_begin(requests, RTM_DELLINK, 0, &header, sizeof(header));
        netlink_put_text(requests, IFLA_IFNAME, name);
}

void link_request_address(struct netlink_requests *requests, uint32_t index, uint32_t address)
{
        const struct ifaddrmsg header = {
                .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = index};

        netlink_begin(requests, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
        put_address(requests, IFA_LOCAL, address);
        put_address(requests, IFA_ADDRESS, address);
}

void link_request_neighbour(struct netlink_requests *requests, uint32_t index, uint32_t address,
                            const uint8_t mac[MAC_SIZE])
{
        const struct ndmsg header = {
                .ndm_family = AF_INET, .ndm_ifindex = (int)index, .ndm_state = NUD_PERMANENT};

        netlink_begin(requests, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &header,
                      sizeof(header));
        put_address(requests, NDA_DST, address);
        netlink_put(requests, NDA_LLADDR, mac, MAC_SIZE);
}

void link_request_route(struct netlink_requests *requests, const struct link_route *route)
{
        bool is_direct = route->gateway == 0 && !route->is_unreachable;
        const struct rtmsg header = {
                .rtm_family = AF_INET,
                .rtm_dst_len = (unsigned char)route->to.prefix,
                .rtm_table = RT_TABLE_MAIN,
                .rtm_protocol = RTPROT_STATIC,
                .rtm_scope = is_direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                .rtm_type = route->is_unreachable ? RTN_UNREACHABLE : RTN_UNICAST,
                .rtm_flags = route->gateway != 0 ? RTNH_F_ONLINK : 0,
        };

        netlink_begin(requests, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &header,
                      sizeof(header));
        if (route->to.prefix > 0)
                put_address(requests, RTA_DST, route->to.first);
        if (route->gateway != 0)
                put_address(requests, RTA_GATEWAY, route->gateway);
        if (route->source != 0)
                put_address(requests, RTA_PREFSRC, route->source);
        if (!route->is_unreachable)
                netlink_put_u32(requests, RTA_OIF, route->index);
}
