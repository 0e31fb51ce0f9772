/* Saying READY, and how long the start took. */
#pragma once

#include <stdint.h>

struct ready {
        uint64_t begun_ns; /* when the contract began to run, CLOCK_MONOTONIC */
        uint32_t boot_us;  /* from BOOT until then; 0 where nobody has noted when that came */
};

/* Before anything is started: takes BOOT_TIME_VARIABLE out of the environment. */
struct ready ready_begin(void);
/* With a READY's flags. 0, or a negative errno. */
int ready_say(const struct ready *ready, uint8_t flags);
