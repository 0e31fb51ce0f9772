/* A sandbox's scheduling policy; see courtesy.h. */
#include "agent/courtesy.h"

#include "base/auto.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 4096
#define PASSES_MAX 3

/* 1: changed. A thread may have ended since, and its number be another's: nobody's policy but these two is
 * touched. */
static int change(pid_t thread, int from, int to)
{
        const struct sched_param none = {0};

        if (thread <= 0 || sched_getscheduler(thread) != from)
                return 0;
        if (sched_setscheduler(thread, to, &none) < 0)
                return errno == ESRCH ? 0 : -errno;
        return 1;
}

/* The numbers of whole lines; how many were changed. What is left of the last, moved to the front, is
 * `*length` bytes. */
static int change_listed(char *text, size_t *length, int from, int to)
{
        char *line = text, *end;
        int changed = 0;

        text[*length] = '\0';
        while ((end = strchr(line, '\n'))) {
                int r = change((pid_t)strtol(line, NULL, 10), from, to);
                if (r < 0)
                        return r;
                changed += r;
                line = end + 1;
        }
        *length -= (size_t)(line - text);
        memmove(text, line, *length);
        return changed;
}

/* How many were changed, or a negative errno. */
static int change_all(const struct cgroup_tree *tree, const struct cgroup *group, int from, int to)
{
        AUTO(fd_close) int threads_fd = cgroup_open_threads(tree, group);
        char text[READ_SIZE + 1];
        size_t length = 0;
        int changed = 0;

        if (threads_fd < 0)
                return threads_fd;
        for (;;) {
                ssize_t count = read(threads_fd, text + length, READ_SIZE - length);
                int r;
                if (count <= 0)
                        return count < 0 ? -errno : changed;
                length += (size_t)count;
                r = change_listed(text, &length, from, to);
                if (r < 0)
                        return r;
                changed += r;
        }
}

int courtesy_set(const struct cgroup_tree *tree, const struct cgroup *group, bool polite)
{
        int from = polite ? SCHED_OTHER : SCHED_BATCH, to = polite ? SCHED_BATCH : SCHED_OTHER;
        int r = 1;

        /* One that had not been changed yet may have made another meanwhile. */
        for (int pass = 0; pass < PASSES_MAX && r > 0; pass++)
                r = change_all(tree, group, from, to);
        return r == -ENOENT || r == -ENODEV || r > 0 ? 0 : r;
}
