/* Scripts for nft(8); see egress_rules.h. */
#include "agent/egress_rules.h"

#include "agent/egress_link.h"
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Nobody's business: IANA's registry of special-purpose addresses (RFC 6890) as far as they are not
 * reachable globally, multicast, and what is reserved. */
#define REFUSED                                                                                    \
        "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "       \
        "192.0.0.0/24, 192.0.2.0/24, 192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24, "             \
        "203.0.113.0/24, 224.0.0.0/3"

/* Who is refused hears of it at once. */
#define CHAIN_REFUSE                                                                               \
        "  chain refuse {\n"                                                                       \
        "    meta l4proto tcp reject with tcp reset\n"                                             \
        "    reject with icmp type admin-prohibited\n"                                             \
        "  }\n"

#define FROM_SANDBOX "iifname \"" EGRESS_LINK_PREFIX "*\" "

/* A source address is a sandbox's own where the route to it leads back over the same interface. */
#define ROUTER_BEGINNING                                                                           \
        "table ip magpie {\n"                                                                      \
        "  set refused { type ipv4_addr; flags interval; elements = { " REFUSED " }; }\n"          \
        "  set names { type ipv4_addr; flags dynamic,timeout; timeout 10s; size 65536; }\n"        \
        "  chain spoofed {\n"                                                                      \
        "    type filter hook prerouting priority raw\n"                                           \
        "    " FROM_SANDBOX "fib saddr . iif oif missing drop\n"                                   \
        "  }\n" CHAIN_REFUSE

/* Mail: whoever may reach a server of their own by name may send it there. */
#define ROUTER_END                                                                                 \
        "    ip daddr @refused goto refuse\n"                                                      \
        "    tcp dport 25 goto refuse\n"                                                           \
        "    accept\n"                                                                             \
        "  }\n"                                                                                    \
        "  chain forward {\n"                                                                      \
        "    type filter hook forward priority filter; policy drop\n"                              \
        "    iifname \"" EGRESS_UPLINK "\" oifname \"" EGRESS_LINK_PREFIX "*\" accept\n"           \
        "    " FROM_SANDBOX "oifname \"" EGRESS_UPLINK "\" goto leaving\n"                         \
        "    goto refuse\n"                                                                        \
        "  }\n"                                                                                    \
        "  chain input {\n"                                                                        \
        "    type filter hook input priority filter; policy drop\n"                                \
        "    " FROM_SANDBOX "ip daddr 169.254.0.53 meta l4proto { tcp, udp } th dport 53 "         \
        "goto names_asked\n"                                                                       \
        "    " FROM_SANDBOX "goto refuse\n"                                                        \
        "  }\n"                                                                                    \
        "}\n"                                                                                      \
        "table ip6 magpie {\n"                                                                     \
        "  chain input { type filter hook input priority filter; policy drop; }\n"                 \
        "  chain forward { type filter hook forward priority filter; policy drop; }\n"             \
        "}\n"

const char *egress_rules_program(void)
{
        static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                if (access(places[i], X_OK) == 0)
                        return places[i];
        return NULL;
}

/* A file in memory: nft reads it as its standard input, or writes its complaints to it. */
static FILE *open_memory(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC);
        FILE *file = fd < 0 ? NULL : fdopen(fd, "w+e");

        if (!file)
                fd_close(&fd);
        return file;
}

static void run_child(const char *program, int script_fd, int complaints_fd)
{
        char *const words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "-f",
                               (char *)(uintptr_t) "-", NULL};
        char *const environment[] = {(char *)(uintptr_t) "LC_ALL=C", NULL};

        if (dup2(script_fd, STDIN_FILENO) >= 0 && dup2(complaints_fd, STDOUT_FILENO) >= 0 &&
            dup2(complaints_fd, STDERR_FILENO) >= 0)
                (void)execve(program, words, environment);
        _exit(127);
}

/* Its first line: "/dev/stdin:1:1-5: Error: ..." */
static int report(FILE *complaints, int status, struct err *err)
{
        char line[256] = "";

        rewind(complaints);
        if (!fgets(line, sizeof(line), complaints))
                (void)snprintf(line, sizeof(line), "it ended with status %d", status);
        line[strcspn(line, "\n")] = '\0';
        return err_set(err, -EIO, "nft has not taken the rules for outbound network: %s", line);
}

static int run(FILE *script, struct err *err)
{
        const char *program = egress_rules_program();
        AUTO(file_close) FILE *complaints = open_memory("nft-complaints");
        int status;
        pid_t pid;

        if (!program)
                return err_set(err, -ENOENT,
                               "outbound network needs nft, which is not installed: apt-get "
                               "install -y nftables");
        if (!complaints || fflush(script) != 0 || lseek(fileno(script), 0, SEEK_SET) < 0)
                return err_errno(err, -errno, "writing rules for nft");
        pid = fork();
        if (pid == 0)
                run_child(program, fileno(script), fileno(complaints));
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return err_errno(err, -errno, "running nft");
        return status == 0 ? 0 : report(complaints, status, err);
}

static void write_elements(FILE *script, const struct named_range *range)
{
        char text[ADDRESS_RANGE_TEXT_MAX];

        for (size_t i = 0; i < range->count; i++) {
                address_range_format(range->parts[i], text);
                (void)fprintf(script, "%s%s", i > 0 ? ", " : "", text);
        }
}

int egress_rules_set_router(const struct named_range *ranges, size_t range_count, struct err *err)
{
        AUTO(file_close) FILE *script = open_memory("nft-router");

        if (!script)
                return err_errno(err, -errno, "writing rules for nft");
        (void)fputs(ROUTER_BEGINNING, script);
        (void)fprintf(
                script,
                "  chain names_asked {\n"
                "    add @names { ip saddr limit rate over %d/second burst %d packets } drop\n"
                "    accept\n"
                "  }\n",
                EGRESS_NAMES_PER_SECOND, EGRESS_NAMES_BURST);
        for (size_t i = 0; i < range_count; i++) {
                (void)fprintf(script,
                              "  set reach_%zu { type ipv4_addr; flags interval; auto-merge; "
                              "elements = { ",
                              i);
                write_elements(script, &ranges[i]);
                (void)fputs(" }; }\n", script);
        }
        (void)fputs("  chain leaving {\n", script);
        for (size_t i = 0; i < range_count; i++)
                (void)fprintf(script,
                              "    meta iifgroup & 0x%x == 0x%x ip daddr @reach_%zu accept\n",
                              1u << i, 1u << i, i);
        (void)fputs(ROUTER_END, script);
        return run(script, err);
}

/* Every packet of the host's comes by here, those of local clients too, so there are as few chains as
 * can be, and the loopback is the first thing that they ask for. It is kept out of connection tracking,
 * which the other rules bring and which would cost a local client's throughput a tenth and more.
 *
 * What is for the host itself is refused before somebody else's rules could send it on to a container,
 * and again where they have sent it to the host. Of what the host itself sends to sandboxes, only
 * refusals pass. */
static void write_ends(FILE *script, const char *uplink)
{
        (void)fprintf(script,
                      CHAIN_REFUSE
                      "  chain answers {\n"
                      "    tcp flags & rst == rst accept\n"
                      "    icmp type { destination-unreachable, time-exceeded } accept\n"
                      "    drop\n"
                      "  }\n"
                      "  chain coming {\n"
                      "    type filter hook prerouting priority raw\n"
                      "    iif lo ip daddr 127.0.0.0/8 notrack accept\n"
                      "    iif \"%s\" fib daddr type != unicast goto refuse\n"
                      "  }\n"
                      "  chain going {\n"
                      "    type filter hook output priority raw\n"
                      "    oif lo ip daddr 127.0.0.0/8 notrack accept\n"
                      "    oif \"%s\" goto answers\n"
                      "  }\n"
                      "  chain input {\n"
                      "    type filter hook input priority filter\n"
                      "    iif \"%s\" goto refuse\n"
                      "  }\n",
                      uplink, uplink, uplink);
}

static void write_bounds(FILE *script)
{
        (void)fprintf(script,
                      "  set rates { type ipv4_addr; flags dynamic,timeout; timeout 10s; "
                      "size 65536; }\n"
                      "  set counts { type ipv4_addr; flags dynamic; size 65536; }\n"
                      "  chain leaving {\n"
                      "    ct state established,related accept\n"
                      "    ct state != new drop\n"
                      "    add @rates { ip saddr limit rate over %d/second burst %d packets } "
                      "goto refuse\n"
                      "    add @counts { ip saddr ct count over %d } goto refuse\n"
                      "    accept\n"
                      "  }\n",
                      EGRESS_CONNECTIONS_PER_SECOND, EGRESS_CONNECTIONS_BURST,
                      EGRESS_CONNECTIONS_MAX);
}

static void write_forwarding(FILE *script, const struct egress_host_rules *rules)
{
        char addresses[ADDRESS_RANGE_TEXT_MAX];

        address_range_format(rules->addresses, addresses);
        (void)fprintf(script,
                      "  chain forward {\n"
                      "    type filter hook forward priority filter\n"
                      "    oif \"%s\" ct state established,related accept\n"
                      "    oif \"%s\" drop\n"
                      "    iif \"%s\" ip saddr %s goto leaving\n"
                      "    iif \"%s\" drop\n",
                      rules->uplink, rules->uplink, rules->uplink, addresses, rules->uplink);
        for (size_t i = 0; i < rules->guarded_count; i++)
                (void)fprintf(script,
                              "    iifname \"%s\" oifname != \"" EGRESS_HOST_PREFIX "*\" drop\n",
                              rules->guarded[i]);
        (void)fprintf(script,
                      "  }\n"
                      "  chain behind_host {\n"
                      "    type nat hook postrouting priority srcnat\n"
                      "    ip saddr %s oif != \"%s\" masquerade\n"
                      "  }\n"
                      "}\n",
                      addresses, rules->uplink);
}

int egress_rules_set_host(const struct egress_host_rules *rules, struct err *err)
{
        AUTO(file_close) FILE *script = open_memory("nft-host");

        if (!script)
                return err_errno(err, -errno, "writing rules for nft");
        /* Declared first, so that there is one to delete: all of it is one transaction. */
        (void)fprintf(script, "table ip %s\ndelete table ip %s\ntable ip %s {\n", rules->table,
                      rules->table, rules->table);
        write_ends(script, rules->uplink);
        write_bounds(script);
        write_forwarding(script, rules);
        return run(script, err);
}

int egress_rules_remove_host(const char *table, struct err *err)
{
        AUTO(file_close) FILE *script = open_memory("nft-host");

        if (!script)
                return err_errno(err, -errno, "writing rules for nft");
        (void)fprintf(script, "table ip %s\ndelete table ip %s\n", table, table);
        return run(script, err);
}
