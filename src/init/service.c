/* Programs that are served; see service.h. */
#include "init/service.h"

#include "init/children.h"
#include "init/contract.h"
#include "init/program.h"
#include "init/worker_socket.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define THAW_MS 2    /* all processes of a group have been woken by then */
#define SETTLE_MS 50 /* for a program that has much to do, and none that would miss a signal */

static void raise_file_limit(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
}

static void on_child(struct loop_source *source, uint32_t events)
{
        struct service *service = CONTAINER_OF(source, struct service, child_source);

        (void)events;
        if (service_reap(service))
                loop_stop(&service->loop);
}

static int take_stop_signal(void)
{
        const char *text = getenv(STOP_SIGNAL_VARIABLE);
        int number = text ? atoi(text) : 0;

        (void)unsetenv(STOP_SIGNAL_VARIABLE);
        return number > 0 && number <= SIGRTMAX ? number : SIGTERM;
}

int service_init(struct service *service)
{
        int r = loop_init(&service->loop);

        if (r < 0)
                return r;
        service->stop_signal = take_stop_signal();
        raise_file_limit();
        service->child_fd = children_open();
        if (service->child_fd < 0)
                return service->child_fd;
        loop_source_init(&service->child_source, on_child);
        return loop_add(&service->loop, &service->child_source, service->child_fd, EPOLLIN);
}

int service_start(struct service *service, char *const *command)
{
        pid_t pid = program_start(command);

        if (pid < 0) {
                worker_socket_refuse("'%s' cannot be run: %s", command[0], strerror(-pid));
                return pid;
        }
        service->pid = pid;
        return 0;
}

bool service_reap(struct service *service)
{
        if (children_reap(service->child_fd, service->pid, &service->status))
                service->ended = true;
        return service->ended;
}

static void pause_ms(long ms)
{
        (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* 'S' where the process sleeps (proc(5), /proc/pid/stat); '\0' where that cannot be told. */
static char state_of(pid_t pid)
{
        char path[32], text[128] = "";
        const char *name_end;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return '\0';
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        (void)close(fd);
        name_end = strrchr(text, ')');
        return name_end && name_end[1] == ' ' ? name_end[2] : '\0';
}

/* Idle instances are frozen, and we may have been thawed a moment ago, in which case the program is about
 * to enter the system call again in which it was waiting. Many programs only note a signal, and look when
 * such a call has been interrupted: one that comes just before the call would go unseen. */
static void let_it_settle(const struct service *service)
{
        pause_ms(THAW_MS);
        for (int waited = 0; waited < SETTLE_MS && state_of(service->pid) == 'R'; waited++)
                pause_ms(1);
}

void service_end(struct service *service)
{
        let_it_settle(service);
        if (service->ended || kill(service->pid, service->stop_signal) < 0)
                return;
        service->loop.stopping = false;
        (void)service_run(service);
}

/* Nothing but events and timers need wake us: idle sandboxes are many. */
int service_run(struct service *service)
{
        while (!service->loop.stopping) {
                int r = loop_turn(&service->loop, INT_MAX);
                if (r < 0)
                        return r;
        }
        return 0;
}
