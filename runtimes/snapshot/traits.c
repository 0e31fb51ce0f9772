/* What a process has besides its memory; see image.h. */
#include "image.h"

#include <errno.h>
#include <sys/stat.h>

int traits_read(struct traits *ret_traits)
{
        for (int number = 1; number <= SIGNALS; number++)
                /* Two real-time signals are the C library's own, and not to be asked for. */
                if (sigaction(number, NULL, &ret_traits->signals[number]) < 0 && errno != EINVAL)
                        return -errno;
        for (int resource = 0; resource < RESOURCES; resource++)
                if (getrlimit((__rlimit_resource_t)resource, &ret_traits->limits[resource]) < 0)
                        return -errno;
        ret_traits->mask = umask(022);
        (void)umask(ret_traits->mask);
        return 0;
}
