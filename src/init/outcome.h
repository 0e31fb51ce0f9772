/* How the function's process ended, and how magpie-init passes that on.
 *
 * An exit status has 8 bits, and the first process of a pid namespace cannot die of an ordinary
 * signal. So magpie-init names itself "exit 3" or "signal 11" as its last act, and the agent reads
 * the name before it reaps.
 */
#pragma once

#include <stdbool.h>

struct outcome {
        bool by_signal;
        int number; /* exit status or signal */
};

struct outcome outcome_of_status(int wait_status);
/* Does not return. */
_Noreturn void outcome_exit(struct outcome outcome);
