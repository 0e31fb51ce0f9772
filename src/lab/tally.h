/* What was counted in some span of time: requests by how they ended, latencies, connections, and
 * how the lab itself fared. Tallies of threads and of moments add up without loss. */
#pragma once

#include "lab/histogram.h"

#include <stdbool.h>

/* How a request failed. */
enum failure {
        FAILURE_REFUSED,         /* nobody listens there, or no way leads there */
        FAILURE_CONNECT_TIMEOUT, /* no connection in time, TLS included */
        FAILURE_TLS,             /* no common language, or not who it says it is */
        FAILURE_RESET,           /* the connection ended before an answer began, or was reset */
        FAILURE_TIMEOUT,         /* no whole answer in time */
        FAILURE_STATUS,          /* an answer, but not 2xx */
        FAILURE_SHORT,           /* an answer that ended too early */
        FAILURE_PROTOCOL,        /* what came is no HTTP, or more than was asked for */
        FAILURE_LOCAL,           /* the lab's own machine had no descriptor, port or memory */
        FAILURE_COUNT,
};

#define TALLY_STATUSES 600

/* The lab's own figures; those of its use of time up to the plan's end. */
struct lab_load {
        uint64_t span_ns;        /* of all threads together */
        uint64_t cpu_ns;         /* spent by its threads */
        uint64_t waiting_ns;     /* its threads could have run, and had no processor */
        double busiest;          /* share of a processor of the busiest thread in any stage */
        struct histogram turns;  /* how long each event waited for the loop, at most */
        struct histogram starts; /* open loop: how late a request began though a client was free */
};

struct tally {
        uint64_t good;
        uint64_t failures[FAILURE_COUNT];
        uint64_t statuses[TALLY_STATUSES]; /* answers by status */
        uint64_t bytes_in, bytes_out;
        uint64_t connected, connect_failures;
        uint64_t connections_max;   /* that were open at once */
        uint64_t after_end;         /* answers, of those above, that came when the plan was over */
        uint64_t good_after_end;    /* of these the good ones */
        uint64_t starved;           /* clients that a whole stage had no good answer for */
        uint64_t unanswered;        /* under way when a stage was over */
        struct histogram latency;   /* of the good ones */
        struct histogram rejection; /* how long other answers than 2xx took */
        struct histogram connecting;
        struct lab_load lab;
};

void tally_init(struct tally *tally);
void tally_clear(struct tally *tally);
/* `at_once`: both were counted at the same time (threads), so open connections add up. */
void tally_merge(struct tally *tally, const struct tally *from, bool at_once);

uint64_t tally_failed(const struct tally *tally);
uint64_t tally_requests(const struct tally *tally); /* good and failed */
uint64_t tally_answers(const struct tally *tally);  /* whole answers of any status */
/* 0 to 1. Where nothing ended: 1 if something was under way all the same, else 0. */
double tally_error_rate(const struct tally *tally);

/* "refused", "connectTimeout" ...: the name in the JSON. */
const char *failure_name(enum failure failure);
/* "connection refused": for people. */
const char *failure_words(enum failure failure);
