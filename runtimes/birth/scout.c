/* See scout.h. */
#include "scout.h"

#include "foresight.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 10

/* ---- in the nursery ---- */

static bool say(int fd, const void *frame, size_t size)
{
        return send(fd, frame, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Passes over what it prints. */
static bool hear(int fd, enum worker_frame_type type)
{
        unsigned char message[4096];
        ssize_t size;

        do {
                size = recv(fd, message, sizeof(message), 0);
        } while (size < 0 ? errno == EINTR : size > 0 && message[0] == WORKER_LOG);
        return size > 0 && message[0] == type;
}

/* The name of what failed; NULL where the scout rests, or soon will, with its call behind it. */
static const char *talk(int fd, const struct scout_errand *errand)
{
        const struct timeval patience = {.tv_sec = PATIENCE_S};

        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                return "setting its time";
        if (!say(fd, errand->boot, errand->boot_size) || !hear(fd, WORKER_READY))
                return "loading the stand-in";
        if (!say(fd, errand->call, errand->call_size) || !hear(fd, WORKER_RESULT))
                return "calling the stand-in";
        return NULL;
}

static void attend(int fd, pid_t scout, const struct scout_errand *errand)
{
        const char *failed = talk(fd, errand);

        if (failed)
                (void)fprintf(stderr, "the nursery's scout: %s failed\n", failed);
        else
                foresight_learn(scout);
        (void)kill(scout, SIGKILL);
        while (waitpid(scout, NULL, 0) < 0 && errno == EINTR)
                continue;
}

/* ---- in the scout ---- */

/* The agent is not for it to talk to. */
static bool begin(int fd, pid_t nursery, const struct birth_ways *ways)
{
        return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == nursery &&
               dup2(fd, WORKER_FD) >= 0 && ways->settle() == 0;
}

bool scout_send(const struct birth_ways *ways, const struct scout_errand *errand)
{
        pid_t nursery = getpid(), scout;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return false;
        scout = ways->copy();
        if (scout == 0) {
                if (!begin(fds[1], nursery, ways))
                        _exit(1);
                return true;
        }
        (void)close(fds[1]);
        if (scout > 0)
                attend(fds[0], scout, errand);
        (void)close(fds[0]);
        return false;
}
