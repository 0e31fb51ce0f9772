/* Small kernel files - cgroup and proc attributes - read and written in one call each, relative to
 * an open folder. Nothing here follows a path that somebody outside of the agent chose. */
#pragma once

#include <stddef.h>

/* Writes the text with one write(2). 0 or a negative errno. */
int file_write_at(int directory_fd, const char *path, const char *text);

/* Reads at most capacity - 1 bytes and adds a NUL. The length, or a negative errno. */
int file_read_at(int directory_fd, const char *path, char *ret_text, size_t capacity);
