/* Checks of what outbound network takes of a machine: nft, pairs of interfaces, forwarding, and other
 * firewalls; see doctor.h. Functions without it need none of this. */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_LENGTH 256
#define NEWER_KERNEL "apt-get install -y linux-image-amd64 && reboot"
#define AS_ROOT "sudo magpie doctor"
#define INSTALL_NFT "apt-get install -y nftables"

/* The kinds of rules that a node makes, in a table that is never made. */
static const char rules[] = "table ip magpie_doctor {\n"
                            "  set counts { type ipv4_addr; flags dynamic; size 16; }\n"
                            "  chain forward {\n"
                            "    type filter hook forward priority filter\n"
                            "    ct state established,related accept\n"
                            "    add @counts { ip saddr ct count over 4 } drop\n"
                            "    meta iifgroup & 1 == 1 accept\n"
                            "    meta l4proto tcp reject with tcp reset\n"
                            "  }\n"
                            "  chain before {\n"
                            "    type filter hook prerouting priority raw\n"
                            "    iif lo notrack\n"
                            "    fib saddr . iif oif missing drop\n"
                            "  }\n"
                            "  chain behind {\n"
                            "    type nat hook postrouting priority srcnat\n"
                            "    masquerade\n"
                            "  }\n"
                            "}\n";

static char *nft_program(void)
{
        static char *const places[] = {(char *)(uintptr_t) "/usr/sbin/nft",
                                       (char *)(uintptr_t) "/sbin/nft",
                                       (char *)(uintptr_t) "/usr/bin/nft"};

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                if (access(places[i], X_OK) == 0)
                        return places[i];
        return NULL;
}

/* Its output, to be read; NULL where it could not be run, or has failed. */
static FILE *run_nft(char *program, const char *option, const char *last, const char *input)
{
        char *words[] = {program, (char *)(uintptr_t)option, (char *)(uintptr_t)last, NULL};
        AUTO(fd_close) int in = memfd_create("nft-in", MFD_CLOEXEC);
        AUTO(fd_close) int out = memfd_create("nft-out", MFD_CLOEXEC);
        posix_spawn_file_actions_t actions;
        int status = 1;
        pid_t pid;

        if (in < 0 || out < 0 || write(in, input, strlen(input)) != (ssize_t)strlen(input) ||
            lseek(in, 0, SEEK_SET) < 0 || posix_spawn_file_actions_init(&actions) != 0)
                return NULL;
        (void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (posix_spawn(&pid, program, &actions, NULL, words, environ) == 0)
                (void)waitpid(pid, &status, 0);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (status != 0 || lseek(out, 0, SEEK_SET) < 0)
                return NULL;
        return fdopen(fd_steal(&out), "r");
}

static void look_nft(const struct doctor *doctor, const struct check *check,
                     struct finding *ret_finding)
{
        char *program = nft_program(), line[LINE_MAX_LENGTH] = "";
        AUTO(file_close) FILE *output = program ? run_nft(program, "--version", NULL, "") : NULL;

        (void)doctor, (void)check;
        if (!program || !output || !fgets(line, sizeof(line), output)) {
                finding_set(ret_finding, VERDICT_WARN, text_copy("no nft"),
                            "functions with network: egress cannot start; the others can",
                            INSTALL_NFT);
                return;
        }
        line[strcspn(line, "\n")] = '\0';
        finding_set(ret_finding, VERDICT_OK, text_format("%s (%s)", line, program),
                    "makes the rules of outbound network", NULL);
}

/* In a network namespace of its own, so that nothing is changed. The exit status of `try`, or 1. */
static int try_apart(int (*try)(void))
{
        int status = 1;
        pid_t pid = fork();

        if (pid == 0)
                _exit(unshare(CLONE_NEWNET) == 0 ? try() : 1);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return 1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int try_rules(void)
{
        char *program = nft_program();
        AUTO(file_close) FILE *output = program ? run_nft(program, "-cf", "-", rules) : NULL;

        return output ? 0 : 1;
}

/* rtnetlink(7): "make an interface of the kind veth". */
static int try_pair(void)
{
        struct {
                struct nlmsghdr message;
                struct ifinfomsg interface;
                struct nlattr info, kind;
                char name[8];
        } request = {
                .message = {.nlmsg_len = sizeof(request),
                            .nlmsg_type = RTM_NEWLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK},
                .info = {.nla_len = sizeof(struct nlattr) * 2 + 8, .nla_type = IFLA_LINKINFO},
                .kind = {.nla_len = sizeof(struct nlattr) + 5, .nla_type = IFLA_INFO_KIND},
                .name = "veth",
        };
        struct {
                struct nlmsghdr message;
                struct nlmsgerr error;
                char rest[256];
        } answer = {.error = {.error = -1}};
        AUTO(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 ||
            recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.message))
                return 1;
        return answer.error.error == 0 ? 0 : 1;
}

static void look_kernel_parts(const struct doctor *doctor, const struct check *check,
                              struct finding *ret_finding)
{
        bool is_root = geteuid() == 0, pairs, accepted;

        (void)doctor, (void)check;
        if (!is_root || !nft_program()) {
                finding_set(ret_finding, VERDICT_WARN, text_copy("not tried"),
                            "whether the kernel has what outbound network takes is not known",
                            is_root ? INSTALL_NFT : AS_ROOT);
                return;
        }
        pairs = try_apart(try_pair) == 0;
        accepted = try_apart(try_rules) == 0;
        if (pairs && accepted)
                finding_set(ret_finding, VERDICT_OK, text_copy("veth, nftables"),
                            "the kernel has what outbound network takes", NULL);
        else
                finding_set(ret_finding, VERDICT_WARN,
                            text_copy(pairs ? "rules are refused" : "no veth interfaces"),
                            "functions with network: egress cannot start; the others can",
                            pairs ? NEWER_KERNEL : "modprobe veth");
}

static void look_forwarding(const struct doctor *doctor, const struct check *check,
                            struct finding *ret_finding)
{
        AUTO(file_close) FILE *file = fopen("/proc/sys/net/ipv4/ip_forward", "re");
        bool on = file && fgetc(file) == '1';

        (void)doctor, (void)check;
        finding_set(ret_finding, VERDICT_OK, text_copy(on ? "on" : "off"),
                    on ? "packets of functions are passed on"
                       : "a node turns it on for its functions alone, while one uses it",
                    NULL);
}

struct chain {
        char family[16], table[64], name[64];
};

/* Somebody else's: "table ip filter {", "chain FORWARD {", "type filter hook forward ...; policy
 * drop;", and nothing in that table that speaks of nodes. False where there is none. */
static bool find_dropping(FILE *listing, struct chain *ret_chain)
{
        char line[LINE_MAX_LENGTH];
        struct chain chain = {{0}, {0}, {0}};
        bool found = false;

        while (fgets(line, sizeof(line), listing)) {
                if (sscanf(line, "table %15s %63s", chain.family, chain.table) == 2) {
                        if (found)
                                break;
                } else if (strstr(line, " hook forward ") && strstr(line, "policy drop") &&
                           strcmp(chain.family, "ip6") != 0 &&
                           !text_starts_with(chain.table, "magpie_")) {
                        *ret_chain = chain;
                        found = true;
                } else if (strstr(line, "\"magpie-*\"")) {
                        found = false;
                } else {
                        (void)sscanf(line, " chain %63s", chain.name);
                }
        }
        return found;
}

static void look_firewalls(const struct doctor *doctor, const struct check *check,
                           struct finding *ret_finding)
{
        char *program = nft_program();
        AUTO(file_close)
        FILE *listing = program ? run_nft(program, "list", "ruleset", "") : NULL;
        AUTO(memory_free) char *mend = NULL;
        struct chain chain;

        (void)doctor, (void)check;
        if (!listing) {
                finding_set(ret_finding, VERDICT_WARN, text_copy("not looked at"),
                            "whether another firewall stops outbound network is not known",
                            program ? AS_ROOT : INSTALL_NFT);
        } else if (find_dropping(listing, &chain)) {
                mend = text_format("nft insert rule %s %s %s iifname '\"magpie-*\"' accept && "
                                   "nft insert rule %s %s %s oifname '\"magpie-*\"' "
                                   "ct state established,related accept",
                                   chain.family, chain.table, chain.name, chain.family, chain.table,
                                   chain.name);
                finding_set(ret_finding, VERDICT_WARN,
                            text_format("%s %s %s drops what it does not know", chain.family,
                                        chain.table, chain.name),
                            "packets of functions with network: egress do not pass it", mend);
        } else {
                finding_set(ret_finding, VERDICT_OK, text_copy("none in the way"),
                            "packets of functions are not dropped by others", NULL);
        }
}

const struct check checks_network[] = {
        {.name = "nft", .look = look_nft},
        {.name = "kernel's part", .look = look_kernel_parts},
        {.name = "forwarding", .look = look_forwarding},
        {.name = "other firewalls", .look = look_firewalls},
        {0},
};
