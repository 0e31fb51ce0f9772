/* The gateway's end of a ring, with a worker that does what it likes. */
#include "gateway/ring.h"

#include "base/auto.h"
#include "gateway/instance.h"
#include "testing.h"
#include "wire/worker_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct both {
        struct instance instance;
        struct ring *ring;
        struct worker_ring *worker; /* its view */
        int worker_end, fd;
        unsigned next; /* the worker's next place */
};

static void receive_ring(struct both *both)
{
        char bytes[WORKER_HEADER_SIZE];
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        struct worker_frame frame;

        ck_assert_int_eq(recvmsg(both->worker_end, &message, MSG_CMSG_CLOEXEC), sizeof(bytes));
        ck_assert_int_eq(worker_frame_decode(bytes, sizeof(bytes), &frame), 0);
        ck_assert_int_eq(frame.type, WORKER_RING);
        ck_assert_uint_eq(frame.value,
                          (uint64_t)sizeof(struct worker_place) << 32 | WORKER_RING_PLACES);
        memcpy(&both->fd, CMSG_DATA(&control.header), sizeof(both->fd));
}

static void both_open(struct both *both)
{
        int ends[2];

        *both = (struct both){.fd = -1};
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        both->instance.fds.socket = ends[0];
        both->worker_end = ends[1];
        ring_open(&both->instance);
        both->ring = both->instance.ring;
        ck_assert_ptr_nonnull(both->ring);
        receive_ring(both);
        both->worker =
                mmap(NULL, sizeof(*both->worker), PROT_READ | PROT_WRITE, MAP_SHARED, both->fd, 0);
        ck_assert(both->worker != MAP_FAILED);
}

static void both_close(struct both *both)
{
        ring_free(both->ring);
        (void)munmap(both->worker, sizeof(*both->worker));
        fd_close(&both->instance.fds.socket);
        fd_close(&both->worker_end);
        fd_close(&both->fd);
}

/* Each call says its number. */
static bool send_call(struct both *both, uint32_t id)
{
        char text[16];
        struct slice parts[2] = {SLICE("call "), {.data = text}};

        parts[1].length = (size_t)snprintf(text, sizeof(text), "%u", id);
        return ring_put(both->ring, parts, 2, id);
}

/* Its frame; NULL: none is sent. */
static char *begin_call(struct both *both)
{
        struct worker_place *place = &both->worker->places[both->next];
        uint32_t sent = WORKER_PLACE_SENT;

        if (!atomic_compare_exchange_strong(&place->state, &sent, WORKER_PLACE_BEGUN))
                return NULL;
        both->next = (both->next + 1) % WORKER_RING_PLACES;
        place->frame[place->length] = '\0';
        return place->frame;
}

static void answer_call(char *frame, const char *text)
{
        struct worker_place *place =
                (struct worker_place *)(void *)(frame - offsetof(struct worker_place, frame));

        strcpy(place->frame, text);
        place->length = (uint32_t)strlen(text);
        atomic_store(&place->state, WORKER_PLACE_ANSWERED);
}

static void assert_answer(struct both *both, uint32_t id, const char *expected)
{
        char bytes[WORKER_RING_FRAME_MAX + 1];
        ssize_t length = ring_take_answer(both->ring, id, bytes);

        ck_assert_int_eq(length, (ssize_t)strlen(expected));
        bytes[length] = '\0';
        ck_assert_str_eq(bytes, expected);
}

TEST(calls_and_answers_pass_in_order_round_and_round)
{
        struct both both;
        char bytes[WORKER_RING_FRAME_MAX], text[32];

        both_open(&both);
        for (uint32_t id = 1; id <= 3 * WORKER_RING_PLACES; id += 2) {
                char *first, *second;
                (void)send_call(&both, id);
                (void)send_call(&both, id + 1);
                ck_assert_uint_eq(ring_count(both.ring), 2);
                first = begin_call(&both);
                (void)snprintf(text, sizeof(text), "call %u", id);
                ck_assert_str_eq(first, text);
                ck_assert_int_eq(ring_take_answer(both.ring, id, bytes), 0);
                second = begin_call(&both);
                answer_call(second, "second");
                ck_assert_int_eq(ring_take_answer(both.ring, id, bytes), 0);
                answer_call(first, "first");
                ck_assert_int_eq(ring_take_answer(both.ring, id + 1, bytes), 0);
                assert_answer(&both, id, "first");
                assert_answer(&both, id + 1, "second");
                ck_assert_uint_eq(ring_count(both.ring), 0);
        }
        ck_assert_ptr_null(begin_call(&both));
        both_close(&both);
}
TEST_END

TEST(a_call_that_was_answered_elsewhere_is_passed_over)
{
        struct both both;

        both_open(&both);
        (void)send_call(&both, 1);
        (void)send_call(&both, 2);
        (void)begin_call(&both);
        ring_pass_over(both.ring, 2); /* its turn has not come */
        ck_assert_uint_eq(ring_count(both.ring), 2);
        ring_pass_over(both.ring, 1);
        ck_assert_uint_eq(ring_count(both.ring), 1);
        answer_call(begin_call(&both), "second");
        assert_answer(&both, 2, "second");
        both_close(&both);
}
TEST_END

TEST(what_was_not_begun_is_taken_back_as_it_was_sent_the_last_first)
{
        struct both both;
        struct slice frame;

        both_open(&both);
        for (uint32_t id = 1; id <= 4; id++)
                (void)send_call(&both, id);
        (void)begin_call(&both);
        strcpy(both.worker->places[2].frame, "forged"); /* of a call that is not begun */
        for (uint32_t id = 4; id >= 2; id--) {
                char text[16];
                (void)snprintf(text, sizeof(text), "call %u", id);
                ck_assert(ring_take_back(both.ring, &frame));
                ck_assert(slice_equal(frame, slice_of(text)));
        }
        ck_assert(!ring_take_back(both.ring, &frame));
        ck_assert_ptr_null(begin_call(&both));

        (void)send_call(&both, 5); /* where the second was */
        ck_assert_str_eq(begin_call(&both), "call 5");
        both_close(&both);
}
TEST_END

TEST(an_answer_that_cannot_be_one_is_an_error)
{
        static const uint32_t lengths[] = {0, WORKER_RING_FRAME_MAX + 1, UINT32_MAX};
        char bytes[WORKER_RING_FRAME_MAX];

        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
                struct both both;
                both_open(&both);
                (void)send_call(&both, 1);
                (void)begin_call(&both);
                both.worker->places[0].length = lengths[i];
                both.worker->places[0].state = WORKER_PLACE_ANSWERED;
                ck_assert_int_eq(ring_take_answer(both.ring, 1, bytes), -EPROTO);
                both_close(&both);
        }
}
TEST_END

TEST(nobody_can_make_the_memory_smaller)
{
        struct both both;

        both_open(&both);
        ck_assert_int_eq(ftruncate(both.fd, 0), -1);
        ck_assert_int_eq(ftruncate(both.fd, 1 << 24), -1);
        ck_assert_int_eq(fcntl(both.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        both_close(&both);
}
TEST_END

TEST(a_bell_is_wanted_once_until_the_worker_sleeps_again)
{
        struct both both;

        both_open(&both);
        ck_assert(send_call(&both, 1));
        ck_assert(!send_call(&both, 2));
        both.worker->worker_awake = 0;
        ck_assert(send_call(&both, 3));
        ck_assert(!send_call(&both, 4));
        ring_miss_bell(both.ring);
        ck_assert(send_call(&both, 5));
        both_close(&both);
}
TEST_END

TEST(a_bell_that_is_heard_may_be_rung_again_and_tells_of_an_answer_or_of_nothing)
{
        struct both both;

        both_open(&both);
        (void)send_call(&both, 1);
        both.worker->gateway_told = 1;
        ck_assert(!ring_hear_bell(both.ring));
        ck_assert_uint_eq(both.worker->gateway_told, 0);
        answer_call(begin_call(&both), "first");
        assert_answer(&both, 1, "first");
        ck_assert(ring_hear_bell(both.ring));
        ck_assert(!ring_hear_bell(both.ring));
        both_close(&both);
}
TEST_END

TEST_MAIN("ring", calls_and_answers_pass_in_order_round_and_round,
          a_call_that_was_answered_elsewhere_is_passed_over,
          what_was_not_begun_is_taken_back_as_it_was_sent_the_last_first,
          an_answer_that_cannot_be_one_is_an_error, nobody_can_make_the_memory_smaller,
          a_bell_is_wanted_once_until_the_worker_sleeps_again,
          a_bell_that_is_heard_may_be_rung_again_and_tells_of_an_answer_or_of_nothing)
