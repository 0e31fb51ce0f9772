/* The worker protocol: how the gateway and one instance talk. docs/worker-protocol.md tells it to
 * those who write a shim.
 *
 * Transport: one AF_UNIX SOCK_SEQPACKET socket pair, descriptor 3 in the sandbox. One frame is one
 * message, so one recv(2) claims exactly one frame. That is what lets the gateway push requests
 * ahead into a busy instance's socket: as long as the worker has not received a frame, the gateway
 * can receive it back from the worker's end, of which it keeps a duplicate.
 *
 * Every frame: a 16-byte header in little-endian order, then `meta_length` bytes of meta, then the
 * payload up to the end of the message. A frame is at most WORKER_FRAME_MAX bytes.
 *
 * gateway -> worker
 *   INVOKE  id, value = deadline (Unix time, ms). meta lines, each ended by '\n':
 *           invocation id, the caller's user id (may be empty). With WORKER_FLAG_HTTP also: method,
 *           raw path, raw query (no '?'), the client's address, the host with its port, then
 *           one "name:value" line a header (names in lower case). Payload: the first bytes of the
 *           request body.
 *           WORKER_FLAG_END: the body is complete.
 *   DATA    id; payload: more of the body; WORKER_FLAG_END on its last frame (may be empty).
 *   LANE    id = the lane's number, from 1, none twice. With it comes (SCM_RIGHTS) the worker's end of
 *           a fresh pair of the same kind: one more way for calls, one at a time, with the same frames.
 *           Only over descriptor 3, and only where the function's concurrency is above 1. Then no call
 *           comes over descriptor 3. value: its place on a trunk in its lower half, the trunk's number in
 *           its upper half (0: on none).
 *   TRUNK   id = the trunk's number, from 1. With it comes one end of a pair, for what is whole in one
 *           frame on any of several lanes: INVOKE and RESULT, with END, behind WORKER_PLACE_SIZE bytes
 *           that say which, in little-endian order. Only over descriptor 3, only to who asked for it.
 *   RING    value = the number of its places in its lower half, in its upper half the size of one. With it
 *           comes a memfd: memory by which small calls go from now on (wire/worker_ring.h). Once, and only
 *           to who asked for it.
 * agent -> worker
 *   BOOT    the first frame to a worker that was started before its function was known. Payload: the
 *           environment, "NAME=value\0" each. meta, to magpie-init only: a command line, each word
 *           ended by '\0'. A memfd may come with it (SCM_RIGHTS), to interpreters that the agent's
 *           nursery has forked: a snapshot of an instance of the same function, version and environment
 *           to load, or, when it is empty, to fill.
 * either way
 *   BELL    there is something in the ring.
 * worker -> gateway
 *   READY   once, when the function can be invoked. value = microseconds spent loading it in its
 *           lower half, in its upper half those from BOOT until that began (0: not measured).
 *   RESULT  id, value = HTTP status (0: the platform's default) in its lower half, in its upper half
 *           what the handler ran, in microseconds, rounded up (0: not measured; the platform then
 *           goes by its own clock). meta: "name:value\n" headers.
 *           Payload: first bytes of the response body. WORKER_FLAG_END: it is complete.
 *   DATA    id; more of the response body; WORKER_FLAG_END on its last frame.
 *   ERROR   id; the handler failed. Payload: JSON {"errorType","errorMessage","stackTrace":[...]}.
 *           After RESULT without END: the response breaks off.
 *   LOG     id (0: outside an invocation), value = 1 stdout, 2 stderr; payload: text.
 *   REFUSED instead of READY: the function cannot be loaded. Payload: text for its owner. The
 *           worker exits afterwards.
 *
 * Frames of one invocation come in order; a worker begins an invocation only when it has answered
 * the one before (RESULT or ERROR, and END). The worker is hostile until proven otherwise: any
 * frame out of order, with an unknown type, flag or id, kills the instance.
 */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define WORKER_FD 3
#define WORKER_HEADER_SIZE 16
#define WORKER_FRAME_MAX 65536 /* header, meta and payload together */
#define WORKER_META_MAX 40960
#define WORKER_PLACE_SIZE 4
#define WORKER_TRUNK_MAX 8192 /* a frame on a trunk, without its place */

enum worker_frame_type {
        WORKER_INVOKE = 1,
        WORKER_DATA = 2,
        WORKER_READY = 3,
        WORKER_RESULT = 4,
        WORKER_ERROR = 5,
        WORKER_LOG = 6,
        WORKER_REFUSED = 7,
        WORKER_BOOT = 8,
        WORKER_LANE = 9,
        WORKER_TRUNK = 10,
        WORKER_RING = 11,
        WORKER_BELL = 12,
};

enum worker_flag {
        WORKER_FLAG_END = 1,  /* the body is complete with this frame */
        WORKER_FLAG_HTTP = 2, /* INVOKE: a function-URL request, its head is in the meta */
        WORKER_FLAG_LANES =
                4, /* READY of a native program: it takes lanes. magpie-init always does */
        WORKER_FLAG_TRUNKS = 8, /* READY: it takes trunks, too */
        WORKER_FLAG_RING = 16,  /* READY: it takes a ring */
};

/* The first eight bytes of what an instance leaves to the next ones (agent/heirlooms.h), in the
 * machine's order; before they are written, 0 or none. */
#define WORKER_HEIRLOOM_COMPLETE 0x31746f687370616dull
#define WORKER_HEIRLOOM_REFUSED 0x30746f687370616dull /* this function cannot have one */
/* A memfd counts only when who has written it has set these, too (fcntl(2)). */
#define WORKER_HEIRLOOM_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* With this status an interpreter ends that could not load one and is no use any more. */
#define WORKER_HEIRLOOM_BROKEN 122

/* The two halves of a RESULT's value. */
static inline uint32_t worker_result_status(uint64_t value)
{
        return (uint32_t)value;
}

static inline uint64_t worker_result_ran_ns(uint64_t value)
{
        return (value >> 32) * 1000;
}

/* What a worker says of its start, in microseconds; 0: not measured. */
struct worker_start {
        uint32_t interpreter_us; /* from BOOT until it began to load the function */
        uint32_t import_us;      /* loading it */
};

uint64_t worker_start_encode(const struct worker_start *start);
/* From a READY's value. The sandbox may say what it likes: -EPROTO where the two are more than the
 * `most_us` that have passed. */
int worker_start_decode(uint64_t value, uint64_t most_us, struct worker_start *ret_start);

/* On the wire: u8 type, u8 flags, u16 meta_length, u32 id, u64 value. */
struct worker_frame {
        enum worker_frame_type type;
        uint8_t flags;
        uint32_t id; /* the gateway's number for this invocation on this instance, from 1 */
        uint64_t value;
        struct slice meta;    /* into the message */
        struct slice payload; /* into the message */
};

/* Writes the header (WORKER_HEADER_SIZE bytes); meta and payload follow it in the same message. */
void worker_frame_encode_header(const struct worker_frame *frame, void *ret_header);

/* Changes a header that has been written: whose call it is and until when, once that is known; and that
 * nothing follows. */
void worker_header_address(void *bytes, uint32_t id, uint64_t value);
void worker_header_end(void *bytes);

/* 0; -EPROTO for what no well-behaved peer sends: a short or over-long message, an unknown type or
 * flag, a meta that is longer than the message. Borrows from `message`. */
int worker_frame_decode(const void *message, size_t length, struct worker_frame *ret_frame);

/* Walks the "name:value\n" lines of a RESULT's meta or of an INVOKE's headers. True and a header;
 * false at the end. -EPROTO by *ret_error where a line has no colon, no newline, or a byte that
 * HTTP forbids in a name or value (RFC 9110, section 5). */
bool worker_meta_next_header(struct slice *meta, struct slice *ret_name, struct slice *ret_value,
                             int *ret_error);

/* Takes one NUL-terminated string off the front of a BOOT's meta or payload. NULL where there is
 * none. */
const char *worker_boot_next_string(struct slice *strings);

/* Takes one '\n'-terminated line off the front. False where there is none. */
bool worker_meta_next_line(struct slice *meta, struct slice *ret_line);
