/* One turn of the loop in detail: who is called, when, and what several threads may do to it. */
#include "base/clock.h"
#include "base/crew.h"
#include "base/loop.h"
#include "base/mailbox.h"

#include "testing.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include <unistd.h>

static struct loop loop;

struct pipe_reader {
        struct loop_source source;
        struct pipe_reader *other;
        int pipe[2];
        uint32_t events;
        int calls;
};

static void count_event(struct loop_source *source, uint32_t events)
{
        struct pipe_reader *reader = CONTAINER_OF(source, struct pipe_reader, source);

        reader->events = events;
        reader->calls++;
}

/* A reader of a pipe that has a byte in it. */
static void reader_init(struct pipe_reader *reader,
                        void (*on_event)(struct loop_source *source, uint32_t events))
{
        *reader = (struct pipe_reader){0};
        ck_assert_int_eq(pipe(reader->pipe), 0);
        ck_assert_int_eq(write(reader->pipe[1], "x", 1), 1);
        loop_source_init(&reader->source, on_event);
        ck_assert_int_eq(loop_add(&loop, &reader->source, reader->pipe[0], EPOLLIN), 0);
}

TEST(what_is_not_read_is_told_again_in_the_next_turn)
{
        struct pipe_reader reader;

        ck_assert_int_eq(loop_init(&loop), 0);
        reader_init(&reader, count_event);
        for (int turn = 1; turn <= 3; turn++) {
                ck_assert_int_eq(loop_turn(&loop, 1000), 0);
                ck_assert_int_eq(reader.calls, turn);
                ck_assert_uint_eq(reader.events, EPOLLIN);
        }
        loop_remove(&loop, &reader.source);
        loop_remove(&loop, &reader.source);
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(reader.calls, 3);
        loop_deinit(&loop);
}
TEST_END

static void silence_other(struct loop_source *source, uint32_t events)
{
        struct pipe_reader *reader = CONTAINER_OF(source, struct pipe_reader, source);

        count_event(source, events);
        ck_assert_int_eq(loop_modify(&loop, &reader->other->source, 0), 0);
        ck_assert_int_eq(loop_modify(&loop, &reader->source, 0), 0);
}

TEST(an_event_that_is_no_longer_asked_for_is_not_delivered)
{
        struct pipe_reader a, b;

        ck_assert_int_eq(loop_init(&loop), 0);
        reader_init(&a, silence_other);
        reader_init(&b, silence_other);
        a.other = &b;
        b.other = &a;
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert_int_eq(a.calls + b.calls, 1);
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(a.calls + b.calls, 1);
        ck_assert_int_eq(loop_modify(&loop, &a.source, EPOLLIN), 0);
        a.calls = b.calls = 0;
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert_int_eq(a.calls, 1);
        loop_deinit(&loop);
}
TEST_END

struct turn_task {
        struct loop_task task, other;
        int runs, runs_of_other, wanted;
};

static void run_other(struct loop_task *task)
{
        CONTAINER_OF(task, struct turn_task, other)->runs_of_other++;
}

static void run_once_more(struct loop_task *task)
{
        struct turn_task *turn_task = CONTAINER_OF(task, struct turn_task, task);

        ck_assert_int_eq(turn_task->runs_of_other, turn_task->runs);
        loop_defer(&loop, &turn_task->other);
        if (++turn_task->runs < turn_task->wanted)
                loop_defer_turn(&loop, task);
}

#define CROWD (3 * LOOP_BATCH)

static int count_turns_that_tell(struct pipe_reader *reader, int turns)
{
        reader->calls = 0;
        for (int turn = 0; turn < turns; turn++)
                ck_assert_int_eq(loop_turn(&loop, 0), 0);
        return reader->calls;
}

TEST(who_comes_first_is_told_in_every_turn_beside_more_than_one_turn_brings)
{
        static struct pipe_reader crowd[CROWD];
        struct pipe_reader reader;

        ck_assert_int_eq(loop_init(&loop), 0);
        for (int i = 0; i < CROWD; i++)
                reader_init(&crowd[i], count_event);
        reader_init(&reader, count_event);
        ck_assert_int_le(count_turns_that_tell(&reader, 40), 14);
        ck_assert_int_eq(loop_put_first(&loop, &reader.source, true), 0);
        ck_assert_int_eq(count_turns_that_tell(&reader, 40), 40);
        ck_assert_int_eq(loop_modify(&loop, &reader.source, 0), 0);
        ck_assert_int_eq(count_turns_that_tell(&reader, 40), 0);
        ck_assert_int_eq(loop_modify(&loop, &reader.source, EPOLLIN), 0);
        ck_assert_int_eq(loop_put_first(&loop, &reader.source, false), 0);
        ck_assert_int_le(count_turns_that_tell(&reader, 40), 14);
        ck_assert_int_ge(crowd[0].calls, 30);

        loop_remove(&loop, &reader.source); /* what is not there may come first as well */
        ck_assert_int_eq(loop_put_first(&loop, &reader.source, true), 0);
        ck_assert_int_eq(loop_add(&loop, &reader.source, reader.pipe[0], EPOLLIN), 0);
        for (int i = 0; i < CROWD; i++)
                loop_remove(&loop, &crowd[i].source);
        ck_assert_int_eq(count_turns_that_tell(&reader, 5), 5);
        loop_deinit(&loop);
        for (int i = 0; i < CROWD; i++) {
                ck_assert_int_eq(close(crowd[i].pipe[0]), 0);
                ck_assert_int_eq(close(crowd[i].pipe[1]), 0);
        }
}
TEST_END

static void remove_other(struct loop_source *source, uint32_t events)
{
        struct pipe_reader *reader = CONTAINER_OF(source, struct pipe_reader, source);

        count_event(source, events);
        loop_remove(&loop, &reader->other->source);
}

TEST(of_those_who_come_first_one_that_is_removed_is_not_told_any_more)
{
        struct pipe_reader a, b;

        ck_assert_int_eq(loop_init(&loop), 0);
        reader_init(&a, remove_other);
        reader_init(&b, remove_other);
        a.other = &b;
        b.other = &a;
        ck_assert_int_eq(loop_put_first(&loop, &a.source, true), 0);
        ck_assert_int_eq(loop_put_first(&loop, &b.source, true), 0);
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(a.calls + b.calls, 1);
        loop_deinit(&loop);
}
TEST_END

TEST(a_task_for_the_end_of_turns_runs_once_in_each_and_lets_none_sleep)
{
        struct turn_task turn_task = {.wanted = 3};

        ck_assert_int_eq(loop_init(&loop), 0);
        loop_task_init(&turn_task.task, run_once_more);
        loop_task_init(&turn_task.other, run_other);
        loop_defer_turn(&loop, &turn_task.task);
        loop_defer_turn(&loop, &turn_task.task);
        for (int turn = 1; turn <= 3; turn++) {
                /* It would sleep for the test's whole time. */
                ck_assert_int_eq(loop_turn(&loop, 3600000), 0);
                ck_assert_int_eq(turn_task.runs, turn);
                ck_assert_int_eq(turn_task.runs_of_other, turn);
        }
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(turn_task.runs, 3);
        loop_deinit(&loop);
}
TEST_END

struct aftermath {
        struct loop_task task;
        const struct turn_task *before;
        int runs;
};

static void run_afterwards(struct loop_task *task)
{
        struct aftermath *aftermath = CONTAINER_OF(task, struct aftermath, task);

        aftermath->runs++;
        ck_assert_int_eq(aftermath->before->runs, aftermath->runs);
        ck_assert_int_eq(aftermath->before->runs_of_other, aftermath->runs);
}

TEST(what_is_for_afterwards_comes_when_all_of_a_turn_is_done)
{
        struct turn_task turn_task = {.wanted = 3};
        struct aftermath aftermath = {.before = &turn_task};

        ck_assert_int_eq(loop_init(&loop), 0);
        loop_task_init(&turn_task.task, run_once_more);
        loop_task_init(&turn_task.other, run_other);
        loop_task_init(&aftermath.task, run_afterwards);
        loop.afterwards = &aftermath.task;
        loop_defer_turn(&loop, &turn_task.task);
        for (int turn = 1; turn <= 3; turn++) {
                ck_assert_int_eq(loop_turn(&loop, 0), 0);
                ck_assert_int_eq(aftermath.runs, turn);
        }
        loop_deinit(&loop);
}
TEST_END

struct end_of_turn {
        struct loop_task task;
        struct turn_task deferred;
        int runs;
};

static void run_at_end(struct loop_task *task)
{
        struct end_of_turn *end = CONTAINER_OF(task, struct end_of_turn, task);

        ck_assert_int_eq(end->deferred.runs_of_other, end->runs++);
        loop_defer(&loop, &end->deferred.other);
}

TEST(what_is_asked_for_at_the_end_of_a_turn_is_done_before_the_next_one_waits)
{
        struct end_of_turn end = {0};

        ck_assert_int_eq(loop_init(&loop), 0);
        loop_task_init(&end.deferred.other, run_other);
        loop_task_init(&end.task, run_at_end);
        loop.at_end = &end.task;
        for (int turn = 1; turn <= 3; turn++) {
                ck_assert_int_eq(loop_turn(&loop, 0), 0);
                ck_assert_int_eq(end.runs, turn);
        }
        loop_deinit(&loop);
}
TEST_END

TEST(a_hang_up_is_delivered_even_to_who_asked_for_nothing)
{
        struct pipe_reader reader;

        ck_assert_int_eq(loop_init(&loop), 0);
        reader_init(&reader, count_event);
        ck_assert_int_eq(loop_modify(&loop, &reader.source, 0), 0);
        (void)close(reader.pipe[1]);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert_int_eq(reader.calls, 1);
        ck_assert_uint_eq(reader.events, EPOLLHUP);
        loop_deinit(&loop);
}
TEST_END

TEST(a_descriptor_that_cannot_be_polled_is_refused_and_the_source_stays_free)
{
        struct loop_source source;
        FILE *file = tmpfile();

        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(loop_init(&loop), 0);
        loop_source_init(&source, count_event);
        ck_assert_int_eq(loop_add(&loop, &source, fileno(file), EPOLLIN), -EPERM);
        ck_assert_int_eq(source.fd, -1);
        loop_remove(&loop, &source);
        loop_deinit(&loop);
        (void)fclose(file);
}
TEST_END

struct alarm {
        struct timer timer;
        uint64_t fired_ns;
};

static void alarm_fire(struct timer *timer)
{
        CONTAINER_OF(timer, struct alarm, timer)->fired_ns = clock_now_ns();
}

#define DELAY_MS 50
#define BLOCK_MS 100

static struct alarm late_alarm;

static void block_a_while(struct loop_source *source, uint32_t events)
{
        count_event(source, events);
        loop_remove(&loop, source);
        loop_set_timer(&loop, &late_alarm.timer, DELAY_MS);
        (void)poll(NULL, 0, BLOCK_MS);
}

TEST(a_turn_that_took_long_does_not_make_timers_later_still)
{
        uint64_t least_ns = UINT64_MAX;

        ck_assert_int_eq(loop_init(&loop), 0);
        /* The best of some, because a busy machine wakes us late too. */
        for (int try = 0; try < 5; try++) {
                struct pipe_reader reader;
                uint64_t began_ns;

                /* Where the wheel has the timer in its lowest level and thus sleeps in one piece. */
                while (loop.now_ns / NS_PER_MS % WHEEL_SLOTS > 8)
                        ck_assert_int_eq(loop_turn(&loop, 1), 0);
                timer_init(&late_alarm.timer, alarm_fire);
                late_alarm.fired_ns = 0;
                reader_init(&reader, block_a_while);
                began_ns = clock_now_ns();
                while (!late_alarm.fired_ns)
                        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
                if (late_alarm.fired_ns - began_ns < least_ns)
                        least_ns = late_alarm.fired_ns - began_ns;
        }
        ck_assert_uint_ge(loop.max_lag_ns, BLOCK_MS * NS_PER_MS);
        /* Due long before the turn ended; sleeping the whole delay once more would make 150 ms. */
        ck_assert_uint_lt(least_ns, (BLOCK_MS + DELAY_MS / 2) * NS_PER_MS);
        loop_deinit(&loop);
}
TEST_END

TEST(a_removed_timer_does_not_wake_the_loop)
{
        struct alarm alarm = {0};

        ck_assert_int_eq(loop_init(&loop), 0);
        timer_init(&alarm.timer, alarm_fire);
        loop_set_timer(&loop, &alarm.timer, 1);
        loop_remove_timer(&loop, &alarm.timer);
        loop_remove_timer(&loop, &alarm.timer);
        ck_assert_int_eq(loop_turn(&loop, 30), 0);
        ck_assert_uint_eq(alarm.fired_ns, 0);
        loop_deinit(&loop);
}
TEST_END

/* --- several threads ------------------------------------------------------------------------- */

#define SENDERS 4
#define LETTERS 2000

struct numbered {
        struct letter letter;
        int sender, number;
};

static struct mailbox mailbox;
static int next_of[SENDERS], delivered;

static void letter_deliver(struct letter *letter)
{
        struct numbered *numbered = CONTAINER_OF(letter, struct numbered, letter);

        ck_assert_int_eq(numbered->number, next_of[numbered->sender]++);
        free(numbered);
        if (++delivered == SENDERS * LETTERS)
                loop_stop(&loop);
}

static void *post_letters(void *argument)
{
        for (int number = 0; number < LETTERS; number++) {
                struct numbered *numbered = malloc(sizeof(*numbered));
                if (!numbered)
                        abort();
                *numbered = (struct numbered){.letter.deliver = letter_deliver,
                                              .sender = *(int *)argument,
                                              .number = number};
                mailbox_post(&mailbox, &numbered->letter);
        }
        return NULL;
}

TEST(letters_of_many_threads_all_arrive_each_senders_in_order)
{
        pthread_t threads[SENDERS];
        int numbers[SENDERS];

        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        for (int i = 0; i < SENDERS; i++) {
                numbers[i] = i;
                ck_assert_int_eq(pthread_create(&threads[i], NULL, post_letters, &numbers[i]), 0);
        }
        ck_assert_int_eq(loop_run(&loop), 0);
        for (int i = 0; i < SENDERS; i++) {
                pthread_join(threads[i], NULL);
                ck_assert_int_eq(next_of[i], LETTERS);
        }
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
}
TEST_END

struct relay {
        struct letter letter;
        int hops;
};

static void relay_deliver(struct letter *letter)
{
        struct relay *relay = CONTAINER_OF(letter, struct relay, letter);

        if (++relay->hops == 10)
                loop_stop(&loop);
        else
                mailbox_post(&mailbox, letter);
}

TEST(a_letter_may_be_posted_again_by_its_own_delivery)
{
        struct relay relay = {.letter.deliver = relay_deliver};

        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        mailbox_post(&mailbox, &relay.letter);
        ck_assert_int_eq(loop_run(&loop), 0);
        ck_assert_int_eq(relay.hops, 10);
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
}
TEST_END

#define JOBS 500

struct sum {
        struct job job;
        int number;
};

static _Atomic int worked;
static int done_count;

static void sum_work(struct job *job)
{
        atomic_fetch_add(&worked, CONTAINER_OF(job, struct sum, job)->number);
}

static void sum_done(struct job *job)
{
        free(job);
        if (++done_count == JOBS)
                loop_stop(&loop);
}

TEST(a_crew_of_several_threads_does_every_job_once)
{
        struct crew crew;

        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        ck_assert_int_eq(crew_init(&crew, 4, JOBS), 0);
        for (int number = 0; number < JOBS; number++) {
                struct sum *sum = malloc(sizeof(*sum));
                ck_assert_ptr_nonnull(sum);
                *sum = (struct sum){.job = {.home = &mailbox, .work = sum_work, .done = sum_done},
                                    .number = number};
                ck_assert_int_eq(crew_submit(&crew, &sum->job), 0);
        }
        ck_assert_int_eq(loop_run(&loop), 0);
        crew_deinit(&crew);
        ck_assert_int_eq(atomic_load(&worked), JOBS * (JOBS - 1) / 2);
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
}
TEST_END

static void sum_free(struct job *job)
{
        sum_work(job);
        free(job);
}

TEST(a_job_without_done_may_free_itself)
{
        struct crew crew;

        ck_assert_int_eq(crew_init(&crew, 2, JOBS), 0);
        for (int number = 0; number < JOBS; number++) {
                struct sum *sum = malloc(sizeof(*sum));
                ck_assert_ptr_nonnull(sum);
                *sum = (struct sum){.job = {.work = sum_free}, .number = 1};
                ck_assert_int_eq(crew_submit(&crew, &sum->job), 0);
        }
        crew_deinit(&crew);
        ck_assert_int_eq(atomic_load(&worked), JOBS);
}
TEST_END

TEST_MAIN("loop_turns", what_is_not_read_is_told_again_in_the_next_turn,
          an_event_that_is_no_longer_asked_for_is_not_delivered,
          who_comes_first_is_told_in_every_turn_beside_more_than_one_turn_brings,
          of_those_who_come_first_one_that_is_removed_is_not_told_any_more,
          a_task_for_the_end_of_turns_runs_once_in_each_and_lets_none_sleep,
          what_is_for_afterwards_comes_when_all_of_a_turn_is_done,
          what_is_asked_for_at_the_end_of_a_turn_is_done_before_the_next_one_waits,
          a_hang_up_is_delivered_even_to_who_asked_for_nothing,
          a_descriptor_that_cannot_be_polled_is_refused_and_the_source_stays_free,
          a_turn_that_took_long_does_not_make_timers_later_still,
          a_removed_timer_does_not_wake_the_loop,
          letters_of_many_threads_all_arrive_each_senders_in_order,
          a_letter_may_be_posted_again_by_its_own_delivery,
          a_crew_of_several_threads_does_every_job_once, a_job_without_done_may_free_itself)
