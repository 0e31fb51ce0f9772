/* What is told of processes, by a folder that a test fills as if it were a control group, and by
 * children that use a processor when they are told to; and of a server's metrics. */
#include "base/auto.h"
#include "lab/watch_parts.h"
#include "temporary.h"
#include "testing.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct temporary folder;
static struct watch_options options;
static struct watched_processes processes;
static double values[SAMPLE_COUNT];

/* A process that works for 0.1 s of a processor's time for each byte it is sent, and answers. */
struct worker {
        pid_t pid;
        int ask_fd, answer_fd;
};

static void work(void)
{
        struct timespec used;
        double until_s;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        until_s = (double)used.tv_sec + (double)used.tv_nsec / 1e9 + 0.1;
        do
                (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        while ((double)used.tv_sec + (double)used.tv_nsec / 1e9 < until_s);
}

static struct worker worker_start(void)
{
        struct worker worker;
        int asks[2], answers[2];
        char byte;

        ck_assert(pipe(asks) == 0 && pipe(answers) == 0);
        worker = (struct worker){.pid = fork(), .ask_fd = asks[1], .answer_fd = answers[0]};
        ck_assert_int_ge(worker.pid, 0);
        if (worker.pid > 0) {
                close(asks[0]);
                close(answers[1]);
                return worker;
        }
        while (read(asks[0], &byte, 1) == 1) {
                work();
                if (write(answers[1], &byte, 1) != 1)
                        break;
        }
        _exit(0);
}

static void worker_work(const struct worker *worker)
{
        char byte = 0;

        ck_assert_int_eq(write(worker->ask_fd, &byte, 1), 1);
        ck_assert_int_eq(read(worker->answer_fd, &byte, 1), 1);
}

static void worker_end(const struct worker *worker)
{
        ck_assert_int_eq(kill(worker->pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(worker->pid, NULL, 0), worker->pid);
}

static void group_say(const char *name, const char *text)
{
        FILE *file = fopen(temporary_path(&folder, name), "w");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static void group_hold(const struct worker *first, const struct worker *second)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "%d\n%d\n", first->pid,
                       second ? second->pid : first->pid);
        group_say("cgroup.procs", text);
}

static void look(void)
{
        processes.look_again_s = 0;
        watched_processes_take(&processes, values);
}

static double now_s(void)
{
        return (double)clock_now_ns() / 1e9;
}

/* Seconds of processors that they used from then on, at most. */
static double used_since(double from_s)
{
        return (values[SAMPLE_CPU_USER] + values[SAMPLE_CPU_SYSTEM]) * (now_s() - from_s);
}

static void begin(void)
{
        temporary_make(&folder);
        options = (struct watch_options){.cgroup = folder.path};
        watched_processes_init(&processes, &options);
}

TEST(what_a_process_had_used_before_it_was_seen_counts_nothing)
{
        struct worker idle = worker_start(), late = worker_start();

        begin();
        worker_work(&late);
        group_hold(&idle, NULL);
        look();
        ck_assert(isnan(values[SAMPLE_CPU_USER])); /* since when? */
        look();
        group_hold(&idle, &late);
        look();
        /* 0.1 s within less than a millisecond would be a hundred processors. */
        ck_assert_double_lt(values[SAMPLE_CPU_USER] + values[SAMPLE_CPU_SYSTEM], 2);
        worker_end(&idle);
        worker_end(&late);
        temporary_remove(&folder);
}
TEST_END

TEST(a_process_that_ends_takes_nothing_from_what_others_used)
{
        struct worker stays = worker_start(), ends = worker_start();
        double from_s;

        begin();
        worker_work(&ends);
        worker_work(&ends);
        group_hold(&stays, &ends);
        look();
        from_s = now_s();
        look();
        worker_work(&stays);
        worker_end(&ends);
        look();
        ck_assert_double_ge(used_since(from_s), 0.1);
        ck_assert_double_gt(values[SAMPLE_SWITCHES], 0);
        worker_end(&stays);
        look();
        ck_assert(isnan(values[SAMPLE_CPU_USER])); /* of nobody */
        temporary_remove(&folder);
}
TEST_END

TEST(what_is_born_between_two_looks_counts_from_its_birth)
{
        struct worker before = worker_start(), born;
        double from_s;

        begin();
        group_hold(&before, NULL);
        look();
        from_s = now_s();
        look();
        born = worker_start();
        worker_work(&born);
        group_hold(&before, &born);
        look();
        ck_assert_double_ge(used_since(from_s), 0.1);
        ck_assert_double_gt(values[SAMPLE_SWITCHES], 0);
        worker_end(&before);
        worker_end(&born);
        temporary_remove(&folder);
}
TEST_END

TEST(the_children_of_a_process_are_found_at_each_look)
{
        struct worker child;

        options = (struct watch_options){.pid = getpid()};
        watched_processes_init(&processes, &options);
        look();
        ck_assert_uint_eq(processes.processes[processes.turn].count, 1);
        child = worker_start();
        look();
        ck_assert_uint_eq(processes.processes[processes.turn].count, 2);
        worker_end(&child);
        look();
        ck_assert_uint_eq(processes.processes[processes.turn].count, 1);
}
TEST_END

TEST(it_is_known_when_processes_are_left_out)
{
        char text[8 * (WATCH_TASKS_MAX + 1)];
        size_t length = 0;

        begin();
        for (int i = 1; i <= WATCH_TASKS_MAX + 1; i++) {
                ck_assert(!processes.left_out);
                length += (size_t)snprintf(text + length, sizeof(text) - length, "%d\n", i);
                if (i < WATCH_TASKS_MAX)
                        continue;
                group_say("cgroup.procs", text);
                look();
        }
        ck_assert(processes.left_out);
        temporary_remove(&folder);
}
TEST_END

/* /proc/PID/fd was such a folder without a size up to Linux 6.1; /proc/PID/task still is. */
TEST(entries_of_a_folder_without_a_size_are_counted_where_that_may_be)
{
        struct stat status;

        ck_assert_int_eq(stat("/proc/self/task", &status), 0);
        ck_assert_int_eq(status.st_size, 0);
        ck_assert_double_ge(watch_entries("/proc/self/task", true), 1);
        ck_assert_double_eq(watch_entries("/proc/self/task", false), 0);
        ck_assert_double_ge(watch_entries("/proc/self/fd", true), 3);
        ck_assert(isnan(watch_entries("/proc/0/fd", true)));
}
TEST_END

TEST(descriptors_are_those_of_the_process_that_has_most)
{
        struct worker few = worker_start();
        int more[2];

        begin();
        group_hold(&few, NULL);
        look();
        ck_assert_double_gt(values[SAMPLE_DESCRIPTORS], 0);
        ck_assert_int_eq(pipe(more), 0);
        group_hold(&few, &(struct worker){.pid = getpid()});
        processes.count_again_s = 0;
        look();
        ck_assert_double_eq(values[SAMPLE_DESCRIPTORS], watch_entries("/proc/self/fd", true));
        worker_end(&few);
        temporary_remove(&folder);
}
TEST_END

/* --- memory ---------------------------------------------------------------------------------- */

static double group_memory(void)
{
        struct watched_group watched = {.folder = folder.path};

        watched_group_take(&watched, 1, values);
        return values[SAMPLE_MEMORY];
}

TEST(files_that_the_kernel_keeps_at_hand_are_no_memory_that_a_group_uses)
{
        temporary_make(&folder);
        group_say("memory.current", "1000000\n");
        ck_assert_double_eq(group_memory(), 1000000);
        group_say("memory.stat", "anon 90000\nactive_file 10000\ninactive_file 900000\n");
        ck_assert_double_eq(group_memory(), 100000);
        group_say("memory.stat", "inactive_file 2000000\n"); /* read a moment later */
        ck_assert_double_eq(group_memory(), 0);
        temporary_remove(&folder);
}
TEST_END

TEST(of_a_v1_group_the_files_of_its_children_count_too)
{
        temporary_make(&folder);
        group_say("memory.usage_in_bytes", "1000000\n");
        group_say("memory.stat", "inactive_file 0\ntotal_inactive_file 600000\n");
        ck_assert_double_eq(group_memory(), 400000);
        temporary_remove(&folder);
}
TEST_END

static double memory_limit(void)
{
        struct origin origin = {.address.ss_family = AF_INET,
                                .address_length = sizeof(struct sockaddr_in)};
        AUTO(watch_close) struct watch *watch = NULL;
        struct err err;

        options.origin = &origin;
        ck_assert_int_eq(watch_new(&options, &watch, &err), 0);
        return watch_limits(watch)->values[SAMPLE_MEMORY];
}

TEST(a_process_may_have_what_is_available_and_no_more_than_its_group)
{
        double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

        options = (struct watch_options){.pid = getpid()};
        ck_assert_double_gt(memory_limit(), 0);
        ck_assert_double_lt(memory_limit(), all); /* the kernel has some of it */
        temporary_make(&folder);
        group_say("memory.current", "1000\n");
        group_say("memory.max", "max\n");
        options.cgroup = folder.path;
        ck_assert_double_gt(memory_limit(), 1000000);
        group_say("memory.max", "4096\n");
        ck_assert_double_eq(memory_limit(), 4096);
        temporary_remove(&folder);
}
TEST_END

/* --- a server's metrics ---------------------------------------------------------------------- */

static struct watched_metrics metrics;

static int listen_anywhere(char ret_url[64])
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        (void)snprintf(ret_url, 64, "http://127.0.0.1:%d/metrics", ntohs(address.sin_port));
        return fd;
}

static void hear_question(int fd)
{
        char bytes[4096];

        ck_assert_int_gt(recv(fd, bytes, sizeof(bytes), 0), 0);
}

static void answer(int fd)
{
        static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n"
                                   "magpie_loop_lag_seconds 0.001";

        ck_assert_int_eq(send(fd, text, sizeof(text) - 1, 0), (ssize_t)sizeof(text) - 1);
}

static double loop_lag(void)
{
        watched_metrics_take(&metrics, values);
        return values[SAMPLE_LOOP_LAG];
}

/* For some time: a slow machine may have asked again before that was seen. */
static bool lags_no_more(void)
{
        for (int i = 0; i < 100 && loop_lag() > 1; i++)
                usleep(1000);
        return loop_lag() <= 1;
}

/* What never comes ends the test by its time-out. */
#define AWAIT(condition)                                                                           \
        while (!(condition))                                                                       \
        usleep(1000)

TEST(an_answer_that_is_due_is_a_loop_that_lags)
{
        char url[64];
        int listening = listen_anywhere(url), fd;

        options = (struct watch_options){.metrics_url = url};
        ck_assert_int_eq(watched_metrics_start(&metrics, &options), 0);
        fd = accept(listening, NULL, NULL);
        hear_question(fd);
        ck_assert(isnan(loop_lag())); /* it may have no such figure */
        answer(fd);
        hear_question(fd);
        AWAIT(loop_lag() > 50);
        ck_assert_double_gt(loop_lag(), 50);
        answer(fd);
        while (!lags_no_more()) {
                hear_question(fd);
                answer(fd);
        }
        close(listening);
        close(fd);
        AWAIT(isnan(loop_lag())); /* nobody is there */
        watched_metrics_stop(&metrics);
}
TEST_END

TEST_MAIN("lab_watch", what_a_process_had_used_before_it_was_seen_counts_nothing,
          a_process_that_ends_takes_nothing_from_what_others_used,
          what_is_born_between_two_looks_counts_from_its_birth,
          the_children_of_a_process_are_found_at_each_look, it_is_known_when_processes_are_left_out,
          entries_of_a_folder_without_a_size_are_counted_where_that_may_be,
          descriptors_are_those_of_the_process_that_has_most,
          files_that_the_kernel_keeps_at_hand_are_no_memory_that_a_group_uses,
          of_a_v1_group_the_files_of_its_children_count_too,
          a_process_may_have_what_is_available_and_no_more_than_its_group,
          an_answer_that_is_due_is_a_loop_that_lags)
