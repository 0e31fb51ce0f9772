/* Python's part in a birth; called by runtimes/python/nursery.py. */
#include "nursery.h"

#include <errno.h>
#include <linux/close_range.h>
#include <unistd.h>

#pragma GCC visibility push(default)
int python_begin(const char **ret_step);
void python_serve(const struct nursery_hooks *hooks, const struct scout_errand *errand);
#pragma GCC visibility pop

static int close_all(void)
{
        return close_range(NURSERY_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

int python_begin(const char **ret_step)
{
        return nursery_begin(ret_step);
}

/* The hooks are PyOS_BeforeFork() and so on; the interpreter's lock is held throughout. */
void python_serve(const struct nursery_hooks *hooks, const struct scout_errand *errand)
{
        /* fork(3): the C library keeps the thread's number in memory. */
        const struct birth_ways ways = {.copy = fork, .settle = close_all};

        nursery_serve(hooks, &ways, errand);
}
