/* How an invocation ended, and what the caller is told: every failure is attributed (law 7). */
#pragma once

#include "base/slice.h"

enum outcome {
        OUTCOME_SUCCEEDED,
        OUTCOME_FUNCTION_ERROR,  /* the handler failed and said so */
        OUTCOME_FUNCTION_EXITED, /* its process ended or was killed by a signal */
        OUTCOME_FUNCTION_OUT_OF_MEMORY,
        OUTCOME_FUNCTION_TIMEOUT,
        OUTCOME_FUNCTION_PROTOCOL,    /* it sent what no shim sends */
        OUTCOME_FUNCTION_INIT,        /* it could not be loaded */
        OUTCOME_FUNCTION_BACKING_OFF, /* it could not be loaded a moment ago, several times */
        OUTCOME_RESPONSE_TOO_LARGE,
        OUTCOME_THROTTLED,  /* the caller's or function's limit */
        OUTCOME_OVERLOADED, /* the machine's limit */
        OUTCOME_DRAINING,   /* the server is going down */
        OUTCOME_PLATFORM,   /* our own failure */
        OUTCOME_ABANDONED,  /* the client went away before it began */
};

#define OUTCOME_COUNT 14

struct outcome_answer {
        int status;             /* HTTP */
        const char *reason;     /* the stable word of a problem, and the label in metrics */
        const char *title;      /* for people */
        unsigned retry_after_s; /* 0: no such header */
};

const struct outcome_answer *outcome_answer(enum outcome outcome);
