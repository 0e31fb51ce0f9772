/* A sandbox's scheduling policy; see courtesy.h. */
#include "agent/courtesy.h"

#include "base/auto.h"
#include "base/log.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 4096

/* A thread may have ended since, and its number be another's: nobody's policy but these two is touched. */
static int change(pid_t thread, int from, int to)
{
        const struct sched_param none = {0};

        if (thread <= 0 || sched_getscheduler(thread) != from)
                return 0;
        return sched_setscheduler(thread, to, &none) < 0 && errno != ESRCH ? -errno : 0;
}

/* The numbers of whole lines. What is left of the last, moved to the front, is `*length` bytes. */
static int change_listed(char *text, size_t *length, int from, int to)
{
        char *line = text, *end;
        int r = 0;

        text[*length] = '\0';
        while (r == 0 && (end = strchr(line, '\n'))) {
                r = change((pid_t)strtol(line, NULL, 10), from, to);
                line = end + 1;
        }
        *length -= (size_t)(line - text);
        memmove(text, line, *length);
        return r;
}

static int change_all(int threads_fd, int from, int to)
{
        char text[READ_SIZE + 1];
        size_t length = 0;

        for (;;) {
                ssize_t count = read(threads_fd, text + length, READ_SIZE - length);
                int r;
                if (count <= 0)
                        return count < 0 ? -errno : 0;
                length += (size_t)count;
                r = change_listed(text, &length, from, to);
                if (r < 0)
                        return r;
        }
}

void courtesy_set(const struct cgroup_tree *tree, const struct cgroup *group, bool polite)
{
        static bool has_failed;
        AUTO(fd_close) int threads_fd = cgroup_open_threads(tree, group);
        int r = threads_fd < 0 ? threads_fd
                : polite       ? change_all(threads_fd, SCHED_OTHER, SCHED_BATCH)
                               : change_all(threads_fd, SCHED_BATCH, SCHED_OTHER);

        if (r == 0 || r == -ENOENT || r == -ENODEV || has_failed) /* it is just ending */
                return;
        has_failed = true;
        log_warn("setting how functions wake up: %s (those called often will be slower)",
                 strerror(-r));
}
