/* Waiting for a function; see contract.h. */
#include "init/contract.h"
#include "init/worker_socket.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS_MAX 80 /* of an image's command line and what is before it */
#define VARIABLES_MAX 192

extern char **environ;

/* Kept for good: environment and command line point into it. */
static char message[WORKER_FRAME_MAX];

/* False where there are more than fit with a NULL behind them. */
static bool take_strings(struct slice from, char **ret_strings, size_t capacity)
{
        const char *string;
        size_t count = 0;

        while ((string = worker_boot_next_string(&from))) {
                if (count + 1 == capacity)
                        return false;
                ret_strings[count++] = (char *)(uintptr_t)string;
        }
        ret_strings[count] = NULL;
        return from.length == 0;
}

/* The environment is the frame's, and tells when that came: whoever says READY knows then how long
 * its start took. */
static bool take_environment(struct slice from, char **ret_variables)
{
        static char booted[sizeof(BOOT_TIME_VARIABLE) + sizeof("=18446744073709551615")];

        (void)snprintf(booted, sizeof(booted), BOOT_TIME_VARIABLE "=%" PRIu64, clock_now_ns());
        ret_variables[0] = booted;
        return take_strings(from, ret_variables + 1, VARIABLES_MAX - 1);
}

struct outcome contract_park(void)
{
        static char *words[WORDS_MAX], *variables[VARIABLES_MAX];
        const struct outcome failed = {.number = 127}, unused = {.number = 0};
        struct worker_frame frame;
        ssize_t length;

        do {
                length = recv(WORKER_FD, message, sizeof(message), 0);
        } while (length < 0 && errno == EINTR);
        if (length <= 0)
                return unused;
        if (worker_frame_decode(message, (size_t)length, &frame) < 0 || frame.type != WORKER_BOOT ||
            !take_strings(frame.meta, words, WORDS_MAX) ||
            !take_environment(frame.payload, variables))
                return failed;
        environ = variables;
        /* Where a function has another folder than its bundle, the command line says so; and an
         * image has no /code. */
        if (words[0] && strcmp(words[0], "in") != 0 && chdir("/code") < 0)
                return failed;
        return contract_run(words);
}
