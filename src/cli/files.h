/* Whole files in and out. */
#pragma once

#include "base/buffer.h"
#include "base/err.h"

/* Appends what the file holds. -EFBIG where that is more than the buffer's limit. */
int file_read(const char *path, struct buffer *buffer, struct err *err);
/* The same from a descriptor, up to its end; `name` is for the sentence. */
int fd_read_all(int fd, const char *name, struct buffer *buffer, struct err *err);
/* 0 or a negative errno. */
int fd_write_all(int fd, const char *data, size_t length);
