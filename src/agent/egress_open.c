/* What outbound network takes of the host, made and undone; see egress_keeper.h. */
#include "agent/egress_keeper_parts.h"
#include "agent/egress_link.h"
#include "agent/egress_names.h"
#include "agent/file.h"
#include "agent/link_requests.h"
#include "base/auto.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RECORDS "/run/magpie"
#define RECORD_PREFIX "egress-"
#define RECORD_MAX 1024
#define LOOPBACK_INDEX 1
/* In the router's namespace; the sandboxes' begin at EGRESS_NUMBER_FIRST. */
#define UPLINK_INDEX 10
#define MAC_UPLINK 2
#define MAC_HOST 3

/* The record --------------------------------------------------------------------------------------- */

static void record_init(struct egress_record *record, uint64_t hash)
{
        *record = (struct egress_record){.rules = {.guarded_count = 0}};
        (void)snprintf(record->rules.table, sizeof(record->rules.table), "magpie_%016" PRIx64,
                       hash);
        (void)snprintf(record->rules.uplink, sizeof(record->rules.uplink),
                       EGRESS_HOST_PREFIX "%08x", (uint32_t)hash);
        (void)snprintf(record->path, sizeof(record->path), RECORDS "/" RECORD_PREFIX "%016" PRIx64,
                       hash);
}

/* Containers may share a folder of records, and not a network. */
static uint64_t inode_of(int fd)
{
        struct stat status = {0};

        return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

static int record_write(const struct egress_record *record)
{
        char text[RECORD_MAX], addresses[ADDRESS_RANGE_TEXT_MAX];
        AUTO(fd_close) int fd = -1;
        size_t used;

        (void)mkdir(RECORDS, 0755);
        fd = open(record->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        address_range_format(record->rules.addresses, addresses);
        used = (size_t)snprintf(text, sizeof(text), "host %" PRIu64 "\naddresses %s\n",
                                record->host, addresses);
        for (size_t i = 0; i < record->rules.guarded_count; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "forwarding %s\n",
                                         record->rules.guarded[i]);
        return write(fd, text, used) == (ssize_t)used ? 0 : -errno;
}

static void record_add_line(struct egress_record *record, const char *line)
{
        struct egress_host_rules *rules = &record->rules;
        char name[IFNAMSIZ], addresses[ADDRESS_RANGE_TEXT_MAX];

        if (sscanf(line, "host %" SCNu64, &record->host) == 1)
                return;
        if (sscanf(line, "addresses %19s", addresses) == 1)
                (void)address_range_parse(slice_of(addresses), &rules->addresses, NULL);
        else if (sscanf(line, "forwarding %15[^/ \n]", name) == 1 &&
                 rules->guarded_count < EGRESS_GUARDED_MAX)
                (void)strcpy(rules->guarded[rules->guarded_count++], name);
}

/* -ENOENT: there is none. */
static int record_read(struct egress_record *record)
{
        AUTO(file_close) FILE *file = fopen(record->path, "re");
        char line[128];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file))
                record_add_line(record, line);
        return 0;
}

/* Another node's, from its name in the folder. The record of one that was killed may lie there still,
 * and the number of its network be another's by now: only whose interface is here counts. */
static bool record_read_other(struct egress_record *ret_record, const char *name, uint64_t host)
{
        uint64_t hash;

        if (sscanf(name, RECORD_PREFIX "%16" SCNx64, &hash) != 1)
                return false;
        record_init(ret_record, hash);
        return record_read(ret_record) == 0 && ret_record->host == host &&
               if_nametoindex(ret_record->rules.uplink) != 0;
}

/* Does another node on this host forward over that device, too? Whoever goes last turns it off. */
static bool is_shared(const struct egress_record *record, const char *device)
{
        AUTO(directory_close) DIR *directory = opendir(RECORDS);
        const struct dirent *entry;
        bool found = false;

        while (directory && !found && (entry = readdir(directory))) {
                struct egress_record other;
                if (!record_read_other(&other, entry->d_name, record->host) ||
                    strcmp(other.path, record->path) == 0)
                        continue;
                for (size_t i = 0; i < other.rules.guarded_count; i++)
                        found = found || strcmp(other.rules.guarded[i], device) == 0;
        }
        return found;
}

/* What this brings back was there before, or is nobody else's. */
static void record_undo(const struct egress_keeper *keeper, const struct egress_record *record)
{
        const struct egress_host_rules *rules = &record->rules;
        struct netlink_requests requests;
        struct err err = {0};
        int r;

        netlink_init(&requests);
        link_request_removal(&requests, rules->uplink);
        r = netlink_send(keeper->host_route_fd, &requests);
        if (r < 0 && r != -ENODEV)
                log_error("removing the interface %s: %s", rules->uplink, strerror(-r));
        if (egress_rules_program() && egress_rules_remove_host(rules->table, &err) < 0)
                log_error("removing the rules of outbound network: %s", err.text);
        for (size_t i = 0; i < rules->guarded_count && !egress_host_forwards(); i++)
                if (!is_shared(record, rules->guarded[i]))
                        (void)egress_set_forwarding(rules->guarded[i], false);
        if (rules->addresses.prefix > 0 &&
            egress_forget_connections(rules->addresses, NULL, &err) < 0)
                log_error("%s", err.text);
        (void)unlink(record->path);
}

void egress_sweep(struct egress_keeper *keeper)
{
        struct egress_record record;

        record_init(&record, keeper->settings.hash);
        if (record_read(&record) < 0)
                return;
        if (record.host == inode_of(keeper->host_fd))
                record_undo(keeper, &record);
        else
                (void)unlink(record.path); /* that host is gone, and everything with it */
}

/* The router --------------------------------------------------------------------------------------- */

static uint32_t host_address(const struct egress_keeper *keeper)
{
        return keeper->record.rules.addresses.first + 1;
}

static uint32_t router_address(const struct egress_keeper *keeper)
{
        return keeper->record.rules.addresses.first + 2;
}

/* What is for a sandbox that has ended must not go back to the host, and so on for ever. */
static int make_links(const struct egress_keeper *keeper)
{
        const struct egress_host_rules *rules = &keeper->record.rules;
        struct link_end up = {.name = EGRESS_UPLINK, .index = UPLINK_INDEX, .namespace_fd = -1};
        struct link_end host = {.name = rules->uplink, .namespace_fd = keeper->host_fd};
        const struct link_route way_out = {.index = UPLINK_INDEX,
                                           .gateway = host_address(keeper),
                                           .source = router_address(keeper)};
        const struct link_route nobody = {.to = rules->addresses, .is_unreachable = true};
        struct netlink_requests requests;

        link_make_mac(router_address(keeper), MAC_UPLINK, up.mac);
        link_make_mac(router_address(keeper), MAC_HOST, host.mac);
        netlink_init(&requests);
        link_request_up(&requests, LOOPBACK_INDEX);
        link_request_address(&requests, LOOPBACK_INDEX, EGRESS_GATEWAY);
        link_request_address(&requests, LOOPBACK_INDEX, EGRESS_RESOLVER);
        link_request_pair(&requests, &up, &host, keeper->mtu);
        link_request_address(&requests, UPLINK_INDEX, router_address(keeper));
        link_request_neighbour(&requests, UPLINK_INDEX, host_address(keeper), host.mac);
        link_request_route(&requests, &way_out);
        link_request_route(&requests, &nobody);
        return netlink_send(keeper->route_fd, &requests);
}

static int fill_router(struct egress_keeper *keeper, struct err *err)
{
        int r;

        keeper->namespace_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        keeper->route_fd = netlink_open(NETLINK_ROUTE);
        if (keeper->namespace_fd < 0 || keeper->route_fd < 0)
                return err_errno(err, -errno, "opening the router's namespace");
        /* Belt and braces: nothing there has an address of IPv6, and the rules drop it. */
        (void)file_write_at(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        (void)file_write_at(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        /* Six refusals, and one a second then, is what the kernel tells one address otherwise: the router
         * knows sandboxes alone. The bound for all of them together stays. */
        (void)file_write_at(AT_FDCWD, "/proc/sys/net/ipv4/icmp_ratelimit", "0");
        r = file_write_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1");
        if (r < 0)
                return err_errno(err, r, "letting the router forward");
        r = make_links(keeper);
        if (r < 0)
                return err_errno(err, r, "making the line from the router to the host");
        r = egress_rules_set_router(keeper->settings.ranges, keeper->settings.range_count, err);
        if (r < 0)
                return r;
        return egress_names_listen(&keeper->datagram_fd, &keeper->stream_fd, err);
}

static int make_router(struct egress_keeper *keeper, struct err *err)
{
        int r;

        if (unshare(CLONE_NEWNET) < 0)
                return err_errno(err, -errno, "making a network namespace for the router");
        r = fill_router(keeper, err);
        if (setns(keeper->host_fd, CLONE_NEWNET) < 0 && r == 0)
                r = err_errno(err, -errno, "coming back from the router's namespace");
        return r;
}

/* The host ----------------------------------------------------------------------------------------- */

static int join_host(const struct egress_keeper *keeper, struct err *err)
{
        const struct egress_host_rules *rules = &keeper->record.rules;
        const uint32_t index = if_nametoindex(rules->uplink);
        const struct link_route way_in = {.to = rules->addresses,
                                          .index = index,
                                          .gateway = router_address(keeper),
                                          .source = host_address(keeper)};
        struct netlink_requests requests;
        uint8_t mac[MAC_SIZE];
        char path[80];
        int r;

        (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
                       rules->uplink);
        (void)file_write_at(AT_FDCWD, path, "1");
        link_make_mac(router_address(keeper), MAC_UPLINK, mac);
        netlink_init(&requests);
        link_request_up(&requests, index);
        link_request_address(&requests, index, host_address(keeper));
        link_request_neighbour(&requests, index, router_address(keeper), mac);
        link_request_route(&requests, &way_in);
        r = netlink_send(keeper->host_route_fd, &requests);
        return r < 0 ? err_errno(err, r, "making the host's route to the sandboxes") : 0;
}

/* Packets come back over the devices that they leave by, so these must forward, too. */
static int set_forwarding(const struct egress_host_rules *rules, struct err *err)
{
        int r = egress_set_forwarding(rules->uplink, true);

        for (size_t i = 0; i < rules->guarded_count && r == 0; i++)
                r = egress_set_forwarding(rules->guarded[i], true);
        if (r < 0)
                return err_errno(err, r,
                                 "outbound network needs forwarding, which cannot be turned on "
                                 "here (sysctl -w net.ipv4.ip_forward=1)");
        return 0;
}

/* Where the host forwards nothing, those devices are opened for sandboxes alone. */
static void choose_guarded(struct egress_record *record, const struct egress_devices *devices)
{
        struct egress_host_rules *rules = &record->rules;

        if (egress_host_forwards())
                return;
        for (size_t i = 0; i < devices->count && i < EGRESS_GUARDED_MAX; i++)
                if (!egress_device_forwards(devices->names[i]) ||
                    is_shared(record, devices->names[i]))
                        (void)strcpy(rules->guarded[rules->guarded_count++], devices->names[i]);
}

static int plan(struct egress_keeper *keeper, struct err *err)
{
        const struct egress_settings *settings = &keeper->settings;
        struct egress_host_rules *rules = &keeper->record.rules;
        struct egress_devices devices;
        int r;

        record_init(&keeper->record, settings->hash);
        keeper->record.host = inode_of(keeper->host_fd);
        if (!egress_rules_program())
                return err_set(err, -ENOENT,
                               "network: egress needs nft, which this machine does not have: "
                               "apt-get install -y nftables");
        rules->addresses = settings->addresses;
        r = settings->addresses.prefix > 0
                    ? egress_check_addresses(keeper->host_route_fd, settings->addresses, err)
                    : egress_choose_addresses(keeper->host_route_fd, settings->hash,
                                              &rules->addresses, err);
        if (r < 0)
                return r;
        r = egress_find_devices(keeper->host_route_fd, &devices);
        if (r < 0)
                return err_errno(err, r, "reading the host's routes");
        keeper->mtu = egress_find_mtu(&devices);
        choose_guarded(&keeper->record, &devices);
        return 0;
}

int egress_open(struct egress_keeper *keeper, struct err *err)
{
        int r = plan(keeper, err);

        if (r < 0)
                return r;
        r = record_write(&keeper->record);
        if (r < 0)
                return err_errno(err, r, "writing %s", keeper->record.path);
        keeper->is_open = true;
        r = make_router(keeper, err);
        if (r == 0)
                r = egress_rules_set_host(&keeper->record.rules, err);
        if (r == 0)
                r = join_host(keeper, err);
        if (r == 0)
                r = set_forwarding(&keeper->record.rules, err);
        if (r == 0) {
                keeper->names = egress_names_start(keeper->datagram_fd, keeper->stream_fd);
                r = keeper->names < 0 ? err_errno(err, keeper->names, "serving names") : 0;
        }
        if (r < 0)
                egress_close(keeper);
        return r;
}

void egress_close(struct egress_keeper *keeper)
{
        if (keeper->names > 0) {
                (void)kill(keeper->names, SIGKILL);
                (void)waitpid(keeper->names, NULL, 0);
        }
        keeper->names = 0;
        fd_close(&keeper->datagram_fd);
        fd_close(&keeper->stream_fd);
        fd_close(&keeper->route_fd);
        fd_close(&keeper->namespace_fd);
        if (keeper->is_open)
                record_undo(keeper, &keeper->record);
        keeper->is_open = false;
}

void egress_review(struct egress_keeper *keeper)
{
        struct egress_host_rules *rules = &keeper->record.rules;
        struct err err = {0};

        if (!keeper->is_open || rules->guarded_count == 0 || !egress_host_forwards())
                return;
        rules->guarded_count = 0;
        if (egress_rules_set_host(rules, &err) < 0 || record_write(&keeper->record) < 0)
                log_error("taking back the guard of forwarding: %s", err.text);
}
