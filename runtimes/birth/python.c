/* Python's part in a birth; called by runtimes/python/nursery.py. */
#include "nursery.h"

#include <errno.h>
#include <linux/close_range.h>
#include <unistd.h>

#pragma GCC visibility push(default)
int python_begin(const char **ret_step);
void python_serve(void (*before)(void), void (*after_in_parent)(void),
                  void (*after_in_child)(void));
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
void python_serve(void (*before)(void), void (*after_in_parent)(void), void (*after_in_child)(void))
{
        const struct nursery_hooks hooks = {before, after_in_parent, after_in_child};
        /* fork(3): the C library keeps the thread's number in memory. */
        const struct birth_ways ways = {.copy = fork, .settle = close_all};
        static const char variables[] = "MAGPIE_CODE=/magpie/python/magpie_shim/rehearsal\0"
                                        "MAGPIE_HANDLER=stand_in.handle\0"
                                        "MAGPIE_FUNCTION_NAME=stand-in\0"
                                        "MAGPIE_FUNCTION_VERSION=1\0"
                                        "MAGPIE_MEMORY_BYTES=134217728";

        nursery_serve(&hooks, &ways, variables, sizeof(variables));
}
