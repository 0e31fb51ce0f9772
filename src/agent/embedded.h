/* The files that the agent carries in itself and puts under /magpie of every sandbox: magpie-init
 * and the runtimes' shims. Made by embed.py at build time, so that an installed agent depends on no
 * path. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct embedded_file {
        const char *path; /* relative to /magpie */
        mode_t mode;
        const unsigned char *data;
        size_t size;
};

extern const struct embedded_file embedded_files[];
extern const size_t embedded_file_count;
