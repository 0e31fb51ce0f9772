/* A function's log: lines on their way to the disk and to those who follow; see function_log.h.
 *
 * Locks, in the order in which they are taken: logs->lock (which logs are open, and counting down
 * references), disk (the files), lock (everything else, for moments only). Only the crew takes
 * `disk`, so a slow disk holds up no gateway thread. */
#include "gateway/function_log.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "core/registry/function.h"
#include "gateway/log_line.h"
#include "gateway/log_ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NOTE_BYTES 512 /* beyond a bound, to say that it was reached */

struct function_log {
        struct list link;       /* logs->open; guarded by logs->lock */
        atomic_uint references; /* counted down under logs->lock */
        struct function_logs *logs;
        char function_id[ID_LENGTH + 1];
        struct job job;
        pthread_mutex_t disk;
        struct log_ring ring; /* guarded by `disk` */
        bool failed;          /* writing did, last time; likewise */
        pthread_mutex_t lock;
        struct buffer pending;
        uint64_t dropped; /* lines, since `pending` was last taken */
        bool writing;     /* the job is queued or runs */
        bool removed;
        struct list followers;
};

int function_logs_init(struct function_logs *logs, const char *data_dir, struct crew *crew)
{
        char *folder = NULL;

        if (asprintf(&folder, "%s/logs", data_dir) < 0)
                return -ENOMEM;
        *logs = (struct function_logs){.folder = folder, .crew = crew};
        pthread_mutex_init(&logs->lock, NULL);
        list_init(&logs->open);
        return 0;
}

void function_logs_deinit(struct function_logs *logs)
{
        pthread_mutex_destroy(&logs->lock);
        free(logs->folder);
        logs->folder = NULL;
}

void function_logs_each(struct function_logs *logs,
                        void (*visit)(const char *function_id, void *context), void *context)
{
        const struct function_log *log;

        pthread_mutex_lock(&logs->lock);
        LIST_FOR_EACH (log, &logs->open, link)
                visit(log->function_id, context);
        pthread_mutex_unlock(&logs->lock);
}

static void log_free(struct function_log *log)
{
        buffer_deinit(&log->pending);
        log_ring_deinit(&log->ring);
        pthread_mutex_destroy(&log->disk);
        pthread_mutex_destroy(&log->lock);
        free(log);
}

static struct function_log *log_new(struct function_logs *logs, const char *function_id)
{
        struct function_log *log = calloc(1, sizeof(*log));

        if (!log)
                return NULL;
        if (log_ring_init(&log->ring, logs->folder, function_id, LOG_SEGMENT_BYTES) < 0) {
                free(log);
                return NULL;
        }
        log->logs = logs;
        (void)snprintf(log->function_id, sizeof(log->function_id), "%s", function_id);
        pthread_mutex_init(&log->disk, NULL);
        pthread_mutex_init(&log->lock, NULL);
        buffer_init(&log->pending, LOG_PENDING_BYTES);
        list_init(&log->followers);
        return log;
}

struct function_log *function_log_open(struct function_logs *logs, const char *function_id)
{
        struct function_log *log, *found = NULL;

        pthread_mutex_lock(&logs->lock);
        LIST_FOR_EACH (log, &logs->open, link)
                if (strcmp(log->function_id, function_id) == 0)
                        found = log;
        if (!found) {
                found = log_new(logs, function_id);
                if (found)
                        list_push_back(&logs->open, &found->link);
        }
        if (found)
                atomic_fetch_add(&found->references, 1);
        pthread_mutex_unlock(&logs->lock);
        return found;
}

/* Without a look at what still waits. */
static void log_let_go(struct function_log *log)
{
        struct function_logs *logs = log->logs;
        bool last;

        pthread_mutex_lock(&logs->lock);
        last = atomic_fetch_sub(&log->references, 1) == 1;
        if (last)
                list_remove(&log->link);
        pthread_mutex_unlock(&logs->lock);
        if (last)
                log_free(log);
}

static void log_store(struct function_log *log, struct slice lines)
{
        int r = mkdir(log->logs->folder, 0700) < 0 && errno != EEXIST ? -errno : 0;

        if (r == 0)
                r = log_ring_write(&log->ring, lines);
        if (r < 0 && !log->failed)
                log_warn("the log of function %s cannot be written: %s", log->function_id,
                         strerror(-r));
        log->failed = r < 0;
}

/* Writes what waits. False when nothing did; `finish` then marks the job as ended. */
static bool log_write_out(struct function_log *log, bool finish)
{
        AUTO(buffer_deinit) struct buffer lines = {0};
        char note[80];
        bool removed, any;

        pthread_mutex_lock(&log->disk);
        pthread_mutex_lock(&log->lock);
        lines = log->pending;
        buffer_init(&log->pending, LOG_PENDING_BYTES);
        if (log->dropped > 0) {
                (void)snprintf(note, sizeof(note), "%llu lines came too fast and are lost",
                               (unsigned long long)log->dropped);
                lines.limit += NOTE_BYTES;
                (void)log_lines_append(&lines, "", LOG_STREAM_PLATFORM, slice_of(note),
                                       clock_unix_ms());
                log->dropped = 0;
        }
        any = lines.length > 0;
        removed = log->removed;
        if (!any && finish)
                log->writing = false;
        pthread_mutex_unlock(&log->lock);
        if (any && !removed)
                log_store(log, buffer_slice(&lines));
        pthread_mutex_unlock(&log->disk);
        return any;
}

static void log_work(struct job *job)
{
        struct function_log *log = CONTAINER_OF(job, struct function_log, job);

        while (log_write_out(log, true))
                continue;
        log_let_go(log);
}

/* With log->lock held: sees to it that what waits is written. False when the crew is full. */
static bool log_schedule(struct function_log *log)
{
        if (log->writing || (log->pending.length == 0 && log->dropped == 0))
                return true;
        if (!log->logs->crew)
                return false;
        log->job = (struct job){.work = log_work};
        atomic_fetch_add(&log->references, 1);
        if (crew_submit(log->logs->crew, &log->job) < 0) {
                atomic_fetch_sub(&log->references, 1); /* not the last: the caller has one */
                return false;
        }
        log->writing = true;
        return true;
}

void function_log_unref(struct function_log *log)
{
        bool scheduled;

        if (!log)
                return;
        pthread_mutex_lock(&log->lock);
        scheduled = log_schedule(log);
        pthread_mutex_unlock(&log->lock);
        /* A crew that is full, and perhaps nobody comes again: then here, for once. */
        if (!scheduled && atomic_load(&log->references) == 1)
                (void)log_write_out(log, false);
        log_let_go(log);
}

/* With log->lock held. */
static void follower_post(struct log_follower *follower)
{
        if (follower->told)
                return;
        follower->told = follower->in_flight = true;
        mailbox_post(follower->home, &follower->letter);
}

void function_log_append(struct function_log *log, const char *invocation_id,
                         enum log_stream stream, struct slice text, uint64_t unix_ms)
{
        struct log_follower *follower;
        struct slice added;
        uint64_t dropped = 0;
        size_t before;

        pthread_mutex_lock(&log->lock);
        before = log->pending.length;
        if (!log->removed)
                dropped = log_lines_append(&log->pending, invocation_id, stream, text, unix_ms);
        log->dropped += dropped;
        added = buffer_slice(&log->pending);
        added = added.length > before ? slice_skip(added, before) : SLICE("");
        LIST_FOR_EACH (follower, &log->followers, link) {
                if ((added.length == 0 && dropped == 0) ||
                    (follower->invocation_id[0] &&
                     strcmp(follower->invocation_id, invocation_id) != 0))
                        continue;
                follower->dropped += dropped;
                if (buffer_append(&follower->backlog, added.data, added.length) < 0)
                        follower->dropped += log_lines_count(added);
                follower_post(follower);
        }
        (void)log_schedule(log); /* when the crew is full: with the next line */
        pthread_mutex_unlock(&log->lock);
}

struct reading {
        const char *invocation_id;
        size_t line_max;
        struct buffer *lines;
        int result;
};

static bool log_read_line(struct slice line, void *context)
{
        struct reading *reading = context;

        if (!log_line_is_of(line, reading->invocation_id))
                return true;
        if (reading->line_max == 0)
                return false;
        reading->line_max--;
        reading->result = buffer_reserve(reading->lines, line.length + 1);
        if (reading->result < 0)
                return false;
        (void)buffer_append(reading->lines, line.data, line.length);
        (void)buffer_append(reading->lines, "\n", 1);
        return true;
}

int function_log_read(struct function_log *log, const char *invocation_id, size_t line_max,
                      struct buffer *lines)
{
        struct reading reading = {
                .invocation_id = invocation_id, .line_max = line_max, .lines = lines};
        int r;

        (void)log_write_out(log, false);
        pthread_mutex_lock(&log->disk);
        r = log_ring_read(&log->ring, log_read_line, &reading);
        pthread_mutex_unlock(&log->disk);
        if (r == 0 && reading.result != -ENOBUFS) /* what fits is the answer */
                r = reading.result;
        return r;
}

/* With log->lock held: there will be no more lines. */
static void log_end_followers(struct function_log *log)
{
        struct log_follower *follower;

        LIST_FOR_EACH (follower, &log->followers, link) {
                follower->ended = true;
                follower_post(follower);
        }
}

void function_log_remove(struct function_log *log)
{
        pthread_mutex_lock(&log->disk);
        pthread_mutex_lock(&log->lock);
        log->removed = true;
        buffer_clear(&log->pending);
        log->dropped = 0;
        pthread_mutex_unlock(&log->lock);
        log_ring_remove(&log->ring);
        pthread_mutex_unlock(&log->disk);

        pthread_mutex_lock(&log->lock);
        log_end_followers(log);
        pthread_mutex_unlock(&log->lock);
}

static void follower_deliver(struct letter *letter)
{
        struct log_follower *follower = CONTAINER_OF(letter, struct log_follower, letter);
        bool left;

        pthread_mutex_lock(&follower->log->lock);
        follower->in_flight = false;
        left = follower->left;
        pthread_mutex_unlock(&follower->log->lock);
        if (left)
                follower->on_left(follower);
        else
                follower->on_lines(follower);
}

void function_log_follow(struct function_log *log, struct log_follower *follower)
{
        follower->log = log;
        follower->letter = (struct letter){.deliver = follower_deliver};
        follower->dropped = 0;
        follower->told = follower->in_flight = follower->left = follower->ended = false;
        buffer_init(&follower->backlog, LOG_BACKLOG_BYTES);
        pthread_mutex_lock(&log->lock);
        list_push_back(&log->followers, &follower->link);
        if (log->removed)
                log_end_followers(log);
        pthread_mutex_unlock(&log->lock);
}

bool function_log_take(struct log_follower *follower, struct buffer *ret_lines)
{
        char note[80];
        bool ended;

        pthread_mutex_lock(&follower->log->lock);
        *ret_lines = follower->backlog;
        buffer_init(&follower->backlog, LOG_BACKLOG_BYTES);
        if (follower->dropped > 0) {
                (void)snprintf(note, sizeof(note), "%llu lines came too fast and are not shown",
                               (unsigned long long)follower->dropped);
                ret_lines->limit += NOTE_BYTES;
                (void)log_lines_append(ret_lines, "", LOG_STREAM_PLATFORM, slice_of(note),
                                       clock_unix_ms());
                follower->dropped = 0;
        }
        follower->told =
                follower->in_flight; /* a letter is not posted before it has been delivered */
        ended = follower->ended;
        pthread_mutex_unlock(&follower->log->lock);
        return !ended;
}

void function_log_leave(struct log_follower *follower)
{
        bool in_flight;

        pthread_mutex_lock(&follower->log->lock);
        list_remove(&follower->link);
        follower->left = true;
        in_flight = follower->in_flight;
        pthread_mutex_unlock(&follower->log->lock);
        buffer_deinit(&follower->backlog);
        if (!in_flight)
                follower->on_left(follower);
}

void function_logs_end_followers(struct function_logs *logs)
{
        struct function_log *log;

        pthread_mutex_lock(&logs->lock);
        LIST_FOR_EACH (log, &logs->open, link) {
                pthread_mutex_lock(&log->lock);
                log_end_followers(log);
                pthread_mutex_unlock(&log->lock);
        }
        pthread_mutex_unlock(&logs->lock);
}
