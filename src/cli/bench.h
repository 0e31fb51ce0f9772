/* What the files of `magpie bench` know of one another. */
#pragma once

#include "base/buffer.h"
#include "cli/options.h"
#include "cli/output.h"
#include "lab/report.h"
#include "lab/url.h"

#include <stdatomic.h>

/* What the command line said. */
struct bench_words {
        const char *clients, *rate, *arrivals, *duration, *requests;
        const char *stages, *rate_stages, *ramp, *think;
        const char *method, *data;
        const char *connect_timeout, *timeout, *total_timeout;
        const char *threads, *seed;
        const char *pid, *cgroup, *max_clients;
        const char *html, *baseline, *fail_on;
        struct text_list urls, headers;
        bool no_keep_alive, insecure;
};

/* What it means. */
struct bench {
        struct cli *cli;
        struct bench_words words;
        bool is_extreme;
        struct plan plan;
        struct load load;
        struct url urls[LOAD_TARGETS_MAX];
        struct text_list url_texts; /* as they are shown */
        struct buffer body;
        struct buffer requests[LOAD_TARGETS_MAX];
        struct thresholds thresholds;
        uint64_t duration_ns; /* -d; 0: not said */
        size_t clients_most;  /* that descriptors allow */
        size_t clients_asked; /* --max-clients; 0: not said */
        pid_t pid;
        int process_fd; /* pidfd_open(2) of it; -1: none is watched */
        cJSON *baseline;
        struct watch *watch;
        char started[32];

        /* While it runs. */
        atomic_bool stop;
        struct progress progress;
        const char *phase;            /* what is shown of it */
        double past_s, whole_s;       /* of experiments before this one, and of all */
        size_t rows;                  /* of the table */
        char death[WARNING_TEXT_MAX]; /* of the watched process; empty: it lives */
};

/* Ctrl-C was pressed: what was measured so far is told. */
extern atomic_bool bench_interrupted;

/* --- bench_load.c: from words to a load. CLI_OK, or what was wrong was said. --- */

int bench_read_words(struct bench *bench, int argument_count, char **arguments);
/* Finds the targets, and makes ready what asks them. CLI_FAILED where nobody is there. */
int bench_prepare(struct bench *bench);
void bench_deinit(struct bench *bench); /* also as AUTO(bench_deinit) */

/* Has the watched process ended? Then how is told once. */
bool bench_sees_death(struct bench *bench, double at_s, double level);

/* --- bench_plan.c --- */

int bench_read_plan(struct bench *bench);

/* --- bench_extreme.c --- */

/* The three experiments. 0, or a negative errno and a sentence. */
int bench_extreme(struct bench *bench, struct run_result *ret_stages, struct run_result *ret_blast,
                  struct run_result *ret_ramp, struct err *err);

/* --- bench_table.c: for people --- */

void bench_table_row(struct bench *bench, const struct run_stage *stage);
void bench_show_progress(struct bench *bench, const struct run_result *so_far, double at_s,
                         const struct run_moment *latest);
void bench_table_end(struct bench *bench, const struct report *report);
/* Adds to a report how it differs from the baseline. */
void bench_compare(const struct bench *bench, cJSON *json);
void bench_table_compare(const struct bench *bench, const cJSON *json);
/* "1.23 ms"; the caller's memory. */
const char *bench_time(double ms, char ret_text[24]);
const char *bench_count(double count, char ret_text[32]);
