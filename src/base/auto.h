/* Cleanup at the end of a scope: `AUTO(fd_close) int fd = -1;`, `AUTO(memory_free) char *text`.
 *
 * A cleanup function takes a pointer to the variable. `fd_steal()` and `memory_steal()` hand the
 * value on and disarm the cleanup.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(function) __attribute__((cleanup(function)))

static inline void fd_close(int *fd)
{
        if (*fd >= 0)
                (void)close(*fd);
        *fd = -1;
}

static inline int fd_steal(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

static inline void memory_free(void *pointer)
{
        free(*(void **)pointer);
        *(void **)pointer = NULL;
}

static inline void *memory_steal(void *pointer)
{
        void *taken = *(void **)pointer;
        *(void **)pointer = NULL;
        return taken;
}

static inline void file_close(FILE **file)
{
        if (*file)
                (void)fclose(*file);
        *file = NULL;
}

static inline void directory_close(DIR **directory)
{
        if (*directory)
                (void)closedir(*directory);
        *directory = NULL;
}
