/* What a function's instances print, kept per invocation: a bounded ring on disk.
 *
 * DATA-DIR/logs/<functionId>/ holds two segments of newline-delimited JSON; the older one goes when
 * the newer is full. Appending is cheap and never blocks: lines are collected in bounded memory and
 * written by the crew; what comes faster than the disk takes it is dropped, and a line says so.
 *
 * All versions of a function share one struct function_log, and whoever follows the log is told of
 * new lines from memory, without a look at the disk.
 */
#pragma once

#include "base/buffer.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/slice.h"
#include "core/registry/function.h"

#include <pthread.h>
#include <stdint.h>

#define LOG_SEGMENT_BYTES (4u << 20)   /* two of these on disk, a function */
#define LOG_PENDING_BYTES (256u << 10) /* waiting for the disk, a function */
#define LOG_BACKLOG_BYTES (256u << 10) /* waiting for a follower */
#define LOG_TEXT_MAX 8192              /* bytes; a longer line becomes several */

struct crew;
struct function_log;

/* All logs that are open: one a gateway. */
struct function_logs {
        char *folder;         /* DATA-DIR/logs; owned */
        struct crew *crew;    /* NULL once it has ended: what still waits is then written at once */
        pthread_mutex_t lock; /* guards `open` and each log's count of references */
        struct list open;
};

enum log_stream { LOG_STREAM_STDOUT, LOG_STREAM_STDERR, LOG_STREAM_PLATFORM };

/* 0 or -ENOMEM. Makes no file yet. */
int function_logs_init(struct function_logs *logs, const char *data_dir, struct crew *crew);
/* After the last function_log_unref(). */
void function_logs_deinit(struct function_logs *logs);

/* Of each log that is open, its function's id. `visit` must not come back here. From any thread. */
void function_logs_each(struct function_logs *logs,
                        void (*visit)(const char *function_id, void *context), void *context);

/* The log of one function, a reference. From any thread. NULL without memory. */
struct function_log *function_log_open(struct function_logs *logs, const char *function_id);
/* What waits is written out, on the crew. NULL is fine. */
void function_log_unref(struct function_log *log);

/* From any thread. `text` is one or more lines; what stands behind the last newline is a line too.
 * It need not be UTF-8. An empty `invocation_id` means that it belongs to none. */
void function_log_append(struct function_log *log, const char *invocation_id,
                         enum log_stream stream, struct slice text, uint64_t unix_ms);

/* The latest lines, newest first, as the log spells them: at most `line_max` of them and at most
 * `lines`' limit of bytes. Only those of `invocation_id`, unless that is "". Blocks: for the crew.
 * 0, or a negative errno. */
int function_log_read(struct function_log *log, const char *invocation_id, size_t line_max,
                      struct buffer *lines);
/* The function is deleted: its files go, and nothing is kept any more. Blocks: for the crew. */
void function_log_remove(struct function_log *log);

/* One who is told of new lines. Everything happens on the loop of `home`. The owner sets the first
 * part and keeps a reference to the log; the rest is the log's. */
struct log_follower {
        struct mailbox *home;
        /* There is something to take. Not called again before it was taken. */
        void (*on_lines)(struct log_follower *follower);
        /* After function_log_leave(): the follower may be freed. */
        void (*on_left)(struct log_follower *follower);
        char invocation_id[ID_LENGTH + 1]; /* "": all lines */

        struct letter letter;
        struct list link;
        struct function_log *log;
        struct buffer backlog; /* guarded by the log's lock, as what follows */
        uint64_t dropped;      /* lines */
        bool told, in_flight, left, ended;
};

/* From now on. */
void function_log_follow(struct function_log *log, struct log_follower *follower);
/* Moves what waits into `ret_lines`, which is then the caller's. False: no more will come. */
bool function_log_take(struct log_follower *follower, struct buffer *ret_lines);
/* No on_lines() any more; on_left() follows, at once or on a later turn. */
void function_log_leave(struct log_follower *follower);
/* From any thread: nobody will be told of anything any more, and each is told that. */
void function_logs_end_followers(struct function_logs *logs);
