/* The system calls that a sandbox may make, compiled once into a BPF program. */
#pragma once

#include "base/err.h"

#include <linux/filter.h>

struct filter {
        struct sock_filter *instructions; /* owned */
        struct sock_fprog program;        /* for seccomp(2); points to the instructions */
};

int filter_compile(struct filter *filter, struct err *err);
void filter_free(struct filter *filter);
