/* A sentence and an enum image_result in one; see ports/images.h. */
#pragma once

#include "ports/images.h"

#include <errno.h>

/* The image's fault. */
#define image_refuse(err, ...) (err_set((err), -EINVAL, __VA_ARGS__), IMAGE_REFUSED)
/* Somebody changed it on the way, or it never was what it says. */
#define image_corrupt(err, ...) (err_set((err), -EBADMSG, __VA_ARGS__), IMAGE_CORRUPT)
/* Ours, with errno; a full disk is told apart. */
#define image_fail(err, code, ...)                                                                 \
        (err_errno((err), (code), __VA_ARGS__), image_result_of_errno(code))

static inline enum image_result image_result_of_errno(int code)
{
        return code == -ENOSPC || code == -EDQUOT ? IMAGE_DISK_FULL : IMAGE_FAILED;
}
