/* Checks of how many there may be of anything; see doctor.h. Defaults and bounds: proc(5),
 * tcp(7), namespaces(7). */
#include "cli/doctor.h"

#include "base/auto.h"
#include "base/buffer.h"
#include "cli/files.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define SYSCTL_TEXT 128
#define PORTS_ENOUGH 28000
#define PORTS_RAISED 50760   /* 10240 to 60999 */
#define BACKLOG 4096         /* with which the node listens: apps/supervisor.c */
#define TIME_WAIT_SECONDS 60 /* the kernel's own; no sysctl changes it */
#define FILES_ENOUGH 65536
#define FILES_LEAST 4096

/* The text of a sysctl, "net/core/somaxconn", tabs as blanks; "" where there is none. */
static void sysctl_read(const char *name, char ret_text[SYSCTL_TEXT])
{
        AUTO(memory_free) char *path = text_format("/proc/sys/%s", name);
        AUTO(buffer_deinit) struct buffer text;

        buffer_init(&text, SYSCTL_TEXT - 1);
        *ret_text = '\0';
        if (file_read(path, &text, NULL) < 0 || text.length == 0)
                return;
        memcpy(ret_text, text.data, text.length);
        ret_text[text.length] = '\0';
        ret_text[strcspn(ret_text, "\n")] = '\0';
        for (char *tab = strchr(ret_text, '\t'); tab; tab = strchr(tab, '\t'))
                *tab = ' ';
}

/* "net/core/somaxconn" as sysctl(8) writes it. The caller frees. */
static char *sysctl_dotted(const char *name)
{
        char *dotted = text_copy(name);

        for (char *slash = strchr(dotted, '/'); slash; slash = strchr(slash, '/'))
                *slash = '.';
        return dotted;
}

static void look_sysctl(const struct doctor *doctor, const struct check *check,
                        struct finding *ret_finding)
{
        AUTO(memory_free) char *dotted = sysctl_dotted(check->subject);
        AUTO(memory_free) char *mend = text_format("sysctl -w %s=%" PRIu64, dotted, check->least);
        char text[SYSCTL_TEXT];
        uint64_t value;
        enum verdict verdict;

        (void)doctor;
        sysctl_read(check->subject, text);
        if (!*text) {
                finding_set(ret_finding, VERDICT_WARN, text_copy("cannot be read"), check->meaning,
                            mend);
                return;
        }
        value = strtoull(text, NULL, 10);
        verdict = value < check->minimum ? VERDICT_FAIL
                  : value < check->least ? VERDICT_WARN
                                         : VERDICT_OK;
        finding_set(ret_finding, verdict, text_copy(text), check->meaning,
                    verdict == VERDICT_OK ? NULL : mend);
}

/* Here more is worse: `least` is the most that is still good. */
static void look_sysctl_at_most(const struct doctor *doctor, const struct check *check,
                                struct finding *ret_finding)
{
        AUTO(memory_free) char *dotted = sysctl_dotted(check->subject);
        AUTO(memory_free) char *mend = text_format("sysctl -w %s=%" PRIu64, dotted, check->least);
        char text[SYSCTL_TEXT];
        bool good;

        (void)doctor;
        sysctl_read(check->subject, text);
        good = *text && strtoull(text, NULL, 10) <= check->least;
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_WARN,
                    text_copy(*text ? text : "cannot be read"), check->meaning, good ? NULL : mend);
}

/* Who closes first, the client mostly, keeps the port for TIME_WAIT_SECONDS. */
static void look_ports(const struct doctor *doctor, const struct check *check,
                       struct finding *ret_finding)
{
        AUTO(memory_free) char *meaning = NULL;
        char text[SYSCTL_TEXT];
        unsigned long first = 0, last = 0, ports;
        bool good;

        (void)doctor;
        sysctl_read(check->subject, text);
        ports = text_two_numbers(text, &first, &last) && last >= first ? last - first + 1 : 0;
        good = ports >= PORTS_ENOUGH;
        meaning = text_format("a client on this machine, such as a load test, opens %lu new "
                              "connections a second to one address for long, as each keeps its "
                              "port for %d s; kept alive they take none",
                              ports / TIME_WAIT_SECONDS, TIME_WAIT_SECONDS);
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_WARN, text_copy(text), meaning, NULL);
        if (ports < PORTS_RAISED)
                *(good ? &ret_finding->raise : &ret_finding->mend) =
                        text_copy("sysctl -w net.ipv4.ip_local_port_range='10240 60999'");
}

static void look_files(const struct doctor *doctor, const struct check *check,
                       struct finding *ret_finding)
{
        struct rlimit limit = {0};
        enum verdict verdict;

        (void)doctor;
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        verdict = limit.rlim_max < FILES_LEAST    ? VERDICT_FAIL
                  : limit.rlim_max < FILES_ENOUGH ? VERDICT_WARN
                                                  : VERDICT_OK;
        finding_set(ret_finding, verdict,
                    text_format("%llu, at most %llu", (unsigned long long)limit.rlim_cur,
                                (unsigned long long)limit.rlim_max),
                    check->meaning,
                    verdict == VERDICT_OK ? NULL : "prlimit --pid $$ --nofile=1048576:1048576");
}

const struct check checks_limits[] = {
        {.name = "open files",
         .look = look_files,
         .meaning = "each connection takes one, each instance three of agent and gateway"},
        {.name = "fs.file-max",
         .look = look_sysctl,
         .subject = "fs/file-max",
         .least = 200000,
         .minimum = 10000,
         .meaning = "open files of the whole machine"},
        {.name = "kernel.pid_max",
         .look = look_sysctl,
         .subject = "kernel/pid_max",
         .least = 65536,
         .minimum = 4096,
         .meaning = "a Python instance takes 2, a Node instance 12"},
        {.name = "kernel.threads-max",
         .look = look_sysctl,
         .subject = "kernel/threads-max",
         .least = 30000,
         .minimum = 4096,
         .meaning = "threads of the whole machine"},
        {.name = "fs.mount-max",
         .look = look_sysctl,
         .subject = "fs/mount-max",
         .least = 1000,
         .minimum = 100,
         .meaning = "mounts of one sandbox, which has about ten"},
        {.name = "vm.max_map_count",
         .look = look_sysctl,
         .subject = "vm/max_map_count",
         .least = 65530,
         .minimum = 4096,
         .meaning = "Node maps memory in many pieces"},
        {.name = "user namespaces",
         .look = look_sysctl,
         .subject = "user/max_user_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "pid namespaces",
         .look = look_sysctl,
         .subject = "user/max_pid_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "mnt namespaces",
         .look = look_sysctl,
         .subject = "user/max_mnt_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "net namespaces",
         .look = look_sysctl,
         .subject = "user/max_net_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "ipc namespaces",
         .look = look_sysctl,
         .subject = "user/max_ipc_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "uts namespaces",
         .look = look_sysctl,
         .subject = "user/max_uts_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "cgroup namespaces",
         .look = look_sysctl,
         .subject = "user/max_cgroup_namespaces",
         .least = 5000,
         .minimum = 1,
         .meaning = "each instance takes one"},
        {.name = "somaxconn",
         .look = look_sysctl,
         .subject = "net/core/somaxconn",
         .least = BACKLOG,
         .minimum = 128,
         .meaning = "clients that may wait to be accepted; the node asks for 4096"},
        {.name = "tcp_max_syn_backlog",
         .look = look_sysctl,
         .subject = "net/ipv4/tcp_max_syn_backlog",
         .least = BACKLOG,
         .minimum = 128,
         .meaning = "clients that may be halfway through connecting; the node asks for 4096"},
        {.name = "tcp_fin_timeout",
         .look = look_sysctl_at_most,
         .subject = "net/ipv4/tcp_fin_timeout",
         .least = 60,
         .meaning =
                 "seconds that a connection which was ended here waits for the other end's word"},
        {.name = "ip_local_port_range",
         .look = look_ports,
         .subject = "net/ipv4/ip_local_port_range",
         .meaning = "ports for clients on this machine, such as a load test"},
        {0},
};
