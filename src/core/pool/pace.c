/* How often a function is called; see pace.h. */
#include "core/pool/pace.h"

#define NS_PER_SECOND 1000000000ull

void pace_call(struct pace *pace, uint64_t now_ns)
{
        /* Threads' clocks differ by a turn. */
        uint64_t elapsed_ns = now_ns > pace->since_ns ? now_ns - pace->since_ns : 0;

        if (elapsed_ns >= (pace->is_often ? PACE_FALL_NS : PACE_RISE_NS)) {
                pace->is_often = pace->calls >= elapsed_ns / (NS_PER_SECOND / PACE_OFTEN);
                pace->since_ns = now_ns;
                pace->calls = 0;
        }
        pace->calls++;
}
