/* Routes, settings and connections of the host; see egress_host.h. */
#include "agent/egress_host.h"

#include "agent/file.h"
#include "agent/netlink.h"
#include "base/auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MTU_USUAL 1500
#define MTU_LEAST 576
#define ROUTES_MAX 4096
#define FORGET_AT_ONCE 16
#define TUPLE_MAX 128

/* Where nobody has said: first the addresses for benchmarks (RFC 2544), which no network uses, then
 * those of carriers (RFC 6598). */
static const struct address_range pools[] = {{0xc6120000, 15}, {0x64400000, 10}};
#define CHOICE_PREFIX 16

/* Routes ------------------------------------------------------------------------------------------- */

struct route {
        struct address_range to;
        int device; /* its index */
        bool is_local;
};

struct routes {
        size_t count;
        bool are_too_many;
        struct route all[ROUTES_MAX];
};

static uint32_t read_u32(const struct nlattr *attribute)
{
        uint32_t value = 0;

        if (attribute)
                memcpy(&value, netlink_data(attribute), sizeof(value));
        return value;
}

static void add_route(const struct nlmsghdr *message, void *context)
{
        struct routes *routes = context;
        const struct rtmsg *header = (const void *)(message + 1);
        struct route route;

        if (message->nlmsg_type != RTM_NEWROUTE ||
            message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) || header->rtm_family != AF_INET ||
            header->rtm_dst_len > 32)
                return;
        if (routes->count == ROUTES_MAX) {
                routes->are_too_many = true;
                return;
        }
        route = (struct route){
                .to = {.first = ntohl(read_u32(netlink_find(message, sizeof(*header), RTA_DST, 4))),
                       .prefix = header->rtm_dst_len},
                .device = (int)read_u32(netlink_find(message, sizeof(*header), RTA_OIF, 4)),
                .is_local = header->rtm_type != RTN_UNICAST,
        };
        routes->all[routes->count++] = route;
}

static int read_routes(int route_fd, struct routes *ret_routes)
{
        const struct rtmsg header = {.rtm_family = AF_INET};
        struct netlink_requests requests;

        ret_routes->count = 0;
        ret_routes->are_too_many = false;
        netlink_init(&requests);
        netlink_begin(&requests, RTM_GETROUTE, NLM_F_DUMP, &header, sizeof(header));
        return netlink_dump(route_fd, &requests, add_route, ret_routes);
}

/* Routes to half of everything and more are no claim. */
static bool is_free(const struct routes *routes, struct address_range range)
{
        for (size_t i = 0; i < routes->count; i++)
                if (routes->all[i].to.prefix > 2 &&
                    address_range_overlaps(routes->all[i].to, range))
                        return false;
        return true;
}

static int allocate_routes(int route_fd, struct routes **ret_routes, struct err *err)
{
        struct routes *routes = malloc(sizeof(*routes));
        int r = routes ? read_routes(route_fd, routes) : -ENOMEM;

        if (r < 0) {
                free(routes);
                return err_errno(err, r, "reading the host's routes");
        }
        *ret_routes = routes;
        return 0;
}

int egress_check_addresses(int route_fd, struct address_range range, struct err *err)
{
        AUTO(memory_free) struct routes *routes = NULL;
        char text[ADDRESS_RANGE_TEXT_MAX];
        int r = allocate_routes(route_fd, &routes, err);

        if (r < 0)
                return r;
        address_range_format(range, text);
        if (!is_free(routes, range))
                return err_set(err, -EADDRINUSE,
                               "outbound network: the host has a route to %s already; choose "
                               "others with --egress-addresses",
                               text);
        return 0;
}

static struct address_range choice(uint64_t number)
{
        for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
                uint64_t count = 1ull << (CHOICE_PREFIX - pools[i].prefix);
                if (number < count)
                        return (struct address_range){
                                pools[i].first + (uint32_t)(number << (32 - CHOICE_PREFIX)),
                                CHOICE_PREFIX};
                number -= count;
        }
        return pools[0];
}

int egress_choose_addresses(int route_fd, uint64_t hash, struct address_range *ret_range,
                            struct err *err)
{
        AUTO(memory_free) struct routes *routes = NULL;
        uint64_t count = 0;
        int r = allocate_routes(route_fd, &routes, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
                count += 1ull << (CHOICE_PREFIX - pools[i].prefix);
        for (uint64_t i = 0; i < count; i++) {
                struct address_range range = choice((hash + i) % count);
                if (!routes->are_too_many && is_free(routes, range)) {
                        *ret_range = range;
                        return 0;
                }
        }
        return err_set(err, -EADDRINUSE,
                       "outbound network: the host has routes to all of 198.18.0.0/15 and "
                       "100.64.0.0/10; name other addresses with --egress-addresses");
}

/* Devices ------------------------------------------------------------------------------------------ */

static void add_device(struct egress_devices *devices, const char *name)
{
        for (size_t i = 0; i < devices->count; i++)
                if (strcmp(devices->names[i], name) == 0)
                        return;
        if (devices->count < EGRESS_DEVICES_MAX)
                (void)strcpy(devices->names[devices->count++], name);
}

int egress_find_devices(int route_fd, struct egress_devices *ret_devices)
{
        AUTO(memory_free) struct routes *routes = malloc(sizeof(*routes));
        char name[IFNAMSIZ];
        int r = routes ? read_routes(route_fd, routes) : -ENOMEM;

        if (r < 0)
                return r;
        ret_devices->count = 0;
        for (size_t i = 0; i < routes->count; i++)
                if (!routes->all[i].is_local &&
                    if_indextoname((unsigned)routes->all[i].device, name) &&
                    strcmp(name, "lo") != 0)
                        add_device(ret_devices, name);
        return 0;
}

uint32_t egress_find_mtu(const struct egress_devices *devices)
{
        AUTO(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int least = MTU_USUAL;

        for (size_t i = 0; i < devices->count; i++) {
                struct ifreq request = {0};
                memcpy(request.ifr_name, devices->names[i], IFNAMSIZ);
                if (ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu < least)
                        least = request.ifr_mtu;
        }
        return (uint32_t)(least < MTU_LEAST ? MTU_LEAST : least);
}

/* Forwarding --------------------------------------------------------------------------------------- */

static bool is_one(const char *path)
{
        char text[8];

        return file_read_at(AT_FDCWD, path, text, sizeof(text)) > 0 && text[0] == '1';
}

static void forwarding_path(const char *device, char *ret_path, size_t size)
{
        (void)snprintf(ret_path, size, "/proc/sys/net/ipv4/conf/%s/forwarding", device);
}

bool egress_host_forwards(void)
{
        return is_one("/proc/sys/net/ipv4/ip_forward");
}

bool egress_device_forwards(const char *device)
{
        char path[64];

        forwarding_path(device, path, sizeof(path));
        return is_one(path);
}

int egress_set_forwarding(const char *device, bool on)
{
        char path[64];

        forwarding_path(device, path, sizeof(path));
        return file_write_at(AT_FDCWD, path, on ? "1" : "0");
}

/* Connections -------------------------------------------------------------------------------------- */

/* The first way of each is what it was made by. */
struct forgetting {
        int fd; /* for the requests that the dump's own socket cannot take meanwhile */
        struct address_range range;
        const uint64_t *kept;
        struct netlink_requests requests;
        int error;
};

static void flush_requests(struct forgetting *forgetting)
{
        int r = forgetting->requests.count > 0 ? netlink_send(forgetting->fd, &forgetting->requests)
                                               : 0;

        /* -ENOENT: it has ended by itself meanwhile. */
        if (r < 0 && r != -ENOENT && forgetting->error == 0)
                forgetting->error = r;
        netlink_init(&forgetting->requests);
}

static bool is_to_forget(const struct forgetting *forgetting, const struct nlattr *tuple)
{
        const struct nlattr *ip = netlink_find_in(tuple, CTA_TUPLE_IP, 0);
        const struct nlattr *source = ip ? netlink_find_in(ip, CTA_IP_V4_SRC, 4) : NULL;
        uint32_t address = ntohl(read_u32(source)), bit = address - forgetting->range.first;

        return source && address_range_has(forgetting->range, address) &&
               !(forgetting->kept && forgetting->kept[bit / 64] >> bit % 64 & 1);
}

static void forget_one(const struct nlmsghdr *message, void *context)
{
        const struct nfgenmsg header = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
        struct forgetting *forgetting = context;
        const struct nlattr *tuple =
                netlink_find(message, sizeof(header), CTA_TUPLE_ORIG, 2 * NETLINK_ATTRIBUTE_HEADER);

        if (!tuple || tuple->nla_len > TUPLE_MAX || !is_to_forget(forgetting, tuple))
                return;
        netlink_begin(&forgetting->requests, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0,
                      &header, sizeof(header));
        netlink_put(&forgetting->requests, CTA_TUPLE_ORIG | NLA_F_NESTED, netlink_data(tuple),
                    (size_t)tuple->nla_len - NETLINK_ATTRIBUTE_HEADER);
        if (forgetting->requests.count == FORGET_AT_ONCE)
                flush_requests(forgetting);
}

int egress_forget_connections(struct address_range range, const uint64_t *kept, struct err *err)
{
        const struct nfgenmsg header = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
        AUTO(fd_close) int dump_fd = netlink_open(NETLINK_NETFILTER);
        AUTO(fd_close) int fd = netlink_open(NETLINK_NETFILTER);
        struct forgetting forgetting = {.fd = fd, .range = range, .kept = kept};
        struct netlink_requests requests;
        int r = dump_fd < 0 ? dump_fd : fd < 0 ? fd : 0;

        netlink_init(&requests);
        netlink_init(&forgetting.requests);
        netlink_begin(&requests, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP,
                      &header, sizeof(header));
        if (r == 0)
                r = netlink_dump(dump_fd, &requests, forget_one, &forgetting);
        flush_requests(&forgetting);
        if (r == 0)
                r = forgetting.error;
        return r < 0 ? err_errno(err, r, "forgetting connections of sandboxes") : 0;
}
