/* What an instance writes: LOG frames, and raw output; see instance.h. */
#include "base/clock.h"
#include "gateway/function_log.h"
#include "gateway/gateway.h"
#include "gateway/instance_parts.h"

#include <unistd.h>

#define LOG_INVOCATION_MAX (1u << 20)

static void instance_be_loud(struct instance *instance, bool loud)
{
        instance->loud = loud;
        instance_watch_room(instance, instance->socket_source.events & EPOLLOUT);
}

void instance_log(struct instance *instance, struct invocation *invocation, enum log_stream stream,
                  struct slice text)
{
        if (invocation) {
                uint64_t before = invocation->log_bytes;
                invocation->log_bytes += text.length;
                if (before >= LOG_INVOCATION_MAX)
                        return;
                if (invocation->log_bytes >= LOG_INVOCATION_MAX)
                        text = SLICE("(more than 1 MiB of output: the rest is dropped)\n");
        }
        if (instance->trial) {
                trial_append(instance->trial, text);
                return;
        }
        if (!instance->live->log)
                return; /* a trial that is over */
        function_log_append(instance->live->log, invocation ? invocation->id : "", stream, text,
                            clock_unix_ms());
}

static void instance_rest_log(struct instance *instance, uint64_t pause_ms)
{
        struct loop *loop = &instance_home(instance)->loop;
        uint64_t due_ms = loop->now_ns / NS_PER_MS + pause_ms;

        if (!timer_is_set(&instance->log_timer) || instance->log_timer.due_ms < due_ms)
                loop_set_timer(loop, &instance->log_timer, pause_ms);
}

/* Frames that bring no answer further (LOG, pieces of nothing) may come at the rate of the raw
 * output. What is too much waits in the socket, and then its sender does. One receive may bring
 * several times what is allowed: the pause is as long. */
void instance_count_chatter(struct instance *instance, size_t length)
{
        uint64_t now_ns = instance_home(instance)->loop.now_ns;

        if (now_ns - instance->log_since_ns >= LOG_PAUSE_MS * NS_PER_MS) {
                instance->log_since_ns = now_ns;
                instance->log_bytes = 0;
        }
        instance->log_bytes += length > CHATTER_MIN ? length : CHATTER_MIN;
        if (instance->log_bytes < LOG_READ_MAX || instance->ended)
                return;
        instance_be_loud(instance, true);
        instance_rest_log(instance, LOG_PAUSE_MS * instance->log_bytes / LOG_READ_MAX);
}

bool instance_take_log_frame(struct instance *instance, const struct worker_frame *frame)
{
        struct invocation *head = frame->id > 0 ? instance_head_here(instance) : NULL;

        instance_count_chatter(instance,
                               WORKER_HEADER_SIZE + frame->meta.length + frame->payload.length);
        if (frame->value != 1 && frame->value != 2)
                return false;
        if (frame->id > 0 && (!head || head->wire_id != frame->id))
                return false;
        instance_log(instance, head, frame->value == 1 ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR,
                     frame->payload);
        return true;
}

/* It was handed to another thread while its frames were taken: what it said before can only be
 * output outside of calls. Whether anything else is nonsense is not for this thread to say. */
void instance_take_late_log(struct instance *instance, const char *bytes, size_t length)
{
        struct worker_frame frame;

        if (worker_frame_decode(bytes, length, &frame) == 0 && frame.type == WORKER_LOG &&
            frame.id == 0)
                instance_log(instance, NULL,
                             frame.value == 1 ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR,
                             frame.payload);
}

void instance_read_log(struct instance *instance, unsigned most)
{
        struct gateway_thread *thread = instance_home(instance);
        char *bytes = thread->inbox->bytes[INBOX_COUNT - 1];

        while (most-- > 0) {
                ssize_t length = read(instance->fds.log, bytes, LOG_READ_MAX);
                if (length < 0)
                        return; /* EAGAIN */
                if (length == 0) {
                        loop_remove(&thread->loop, &instance->log_source);
                        return;
                }
                /* Raw output tells its invocation only while there is one at a time. */
                live_tell_apart(instance->live);
                instance_log(instance, instance_head_here(instance), LOG_STREAM_STDOUT,
                             slice_make(bytes, (size_t)length));
                if (length == LOG_READ_MAX && !instance->ended) {
                        (void)loop_modify(&thread->loop, &instance->log_source, 0);
                        instance_rest_log(instance, LOG_PAUSE_MS);
                        return;
                }
        }
}

void instance_on_log(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, log_source);

        if (source->events == 0 && (events & EPOLLHUP)) { /* paused, but HUP is always told */
                loop_remove(&instance_home(instance)->loop, source);
                return;
        }
        instance_read_log(instance, 1);
}

void instance_on_log_timer(struct timer *timer)
{
        struct instance *instance = CONTAINER_OF(timer, struct instance, log_timer);

        if (!instance->attached)
                return;
        if (instance->loud)
                instance_be_loud(instance, false);
        if (instance->log_source.fd >= 0)
                (void)loop_modify(&instance_home(instance)->loop, &instance->log_source, EPOLLIN);
}

/* Of a version that has never written there only each instance's first call is asked: mostly it is known then
 * whether it does. */
void instance_drain_log(struct instance *instance)
{
        bool is_first = !instance->has_answered;

        instance->has_answered = true;
        if ((is_first ||
             atomic_load_explicit(&instance->live->has_raw_output, memory_order_relaxed)) &&
            instance->attached && instance->log_source.fd >= 0)
                instance_read_log(instance, 1);
}
