/* READY frames; see ready.h. */
#include "init/ready.h"

#include "init/contract.h"
#include "init/worker_socket.h"

#include "base/clock.h"

#include <stdlib.h>

struct ready ready_begin(void)
{
        const char *noted = getenv(BOOT_TIME_VARIABLE);
        uint64_t booted_ns = noted ? strtoull(noted, NULL, 10) : 0;
        struct ready ready = {.begun_ns = clock_now_ns()};

        (void)unsetenv(BOOT_TIME_VARIABLE); /* not the function's business */
        if (booted_ns > 0)
                ready.boot_us = (uint32_t)((ready.begun_ns - booted_ns + 999) / 1000);
        return ready;
}

int ready_say(const struct ready *ready, uint8_t flags)
{
        struct worker_frame frame = {.type = WORKER_READY, .flags = flags};

        frame.value = worker_start_encode(&(struct worker_start){
                .interpreter_us = ready->boot_us,
                .import_us = (uint32_t)((clock_now_ns() - ready->begun_ns) / 1000)});
        return worker_socket_send(&frame);
}
