/* The loop, the mailbox and the crew keep what their headers promise. */
#include "base/crew.h"
#include "base/loop.h"
#include "base/mailbox.h"

#include "testing.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static struct loop loop;

struct reader {
        struct loop_source source;
        struct reader *other;
        int calls;
};

static void reader_remove_both(struct loop_source *source, uint32_t events)
{
        struct reader *reader = CONTAINER_OF(source, struct reader, source);

        (void)events;
        reader->calls++;
        loop_remove(&loop, &reader->other->source);
        loop_remove(&loop, &reader->source);
}

TEST(a_source_removed_after_its_event_was_fetched_is_not_called_any_more)
{
        struct reader readers[2] = {{.other = &readers[1]}, {.other = &readers[0]}};
        int pipes[2][2];

        ck_assert_int_eq(loop_init(&loop), 0);
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(pipe(pipes[i]), 0);
                loop_source_init(&readers[i].source, reader_remove_both);
                ck_assert_int_eq(loop_add(&loop, &readers[i].source, pipes[i][0], EPOLLIN), 0);
                ck_assert_int_eq(write(pipes[i][1], "x", 1), 1);
        }
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(readers[0].calls + readers[1].calls, 1);
        loop_deinit(&loop);
}
TEST_END

struct chore {
        struct loop_task task;
        struct chore *then;
        int runs;
};

static void chore_run(struct loop_task *task)
{
        struct chore *chore = CONTAINER_OF(task, struct chore, task);

        chore->runs++;
        if (chore->then)
                loop_defer(&loop, &chore->then->task);
}

TEST(a_task_deferred_twice_runs_once_and_one_that_a_task_defers_runs_in_the_same_turn)
{
        struct chore second = {0}, first = {.then = &second};

        ck_assert_int_eq(loop_init(&loop), 0);
        loop_task_init(&first.task, chore_run);
        loop_task_init(&second.task, chore_run);
        loop_defer(&loop, &first.task);
        loop_defer(&loop, &first.task);
        ck_assert_int_eq(loop_turn(&loop, 0), 0);
        ck_assert_int_eq(first.runs, 1);
        ck_assert_int_eq(second.runs, 1);
        loop_deinit(&loop);
}
TEST_END

static void timer_stops_loop(struct timer *timer)
{
        (void)timer;
        loop_stop(&loop);
}

TEST(a_timer_ends_a_loop_that_sleeps_and_not_before_its_time)
{
        struct timer timer;

        ck_assert_int_eq(loop_init(&loop), 0);
        uint64_t began_ns = loop.now_ns;
        timer_init(&timer, timer_stops_loop);
        loop_set_timer(&loop, &timer, 20);
        ck_assert_int_eq(loop_run(&loop), 0);
        /* The wheel counts whole milliseconds, from one that had begun already. */
        ck_assert_uint_ge(loop.now_ns - began_ns, 19 * 1000000ull);
        loop_deinit(&loop);
}
TEST_END

#define LETTERS 1000

struct numbered {
        struct letter letter;
        int number;
};

static struct mailbox mailbox;
static struct numbered letters[LETTERS];
static int expected;

static void letter_deliver(struct letter *letter)
{
        ck_assert_int_eq(CONTAINER_OF(letter, struct numbered, letter)->number, expected);
        if (++expected == LETTERS)
                loop_stop(&loop);
}

static void *post_all(void *argument)
{
        (void)argument;
        for (int i = 0; i < LETTERS; i++) {
                letters[i] = (struct numbered){.letter.deliver = letter_deliver, .number = i};
                mailbox_post(&mailbox, &letters[i].letter);
        }
        return NULL;
}

TEST(letters_from_another_thread_wake_the_loop_and_arrive_in_order)
{
        pthread_t sender;

        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        ck_assert_int_eq(pthread_create(&sender, NULL, post_all, NULL), 0);
        ck_assert_int_eq(loop_run(&loop), 0);
        ck_assert_int_eq(expected, LETTERS);
        pthread_join(sender, NULL);
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
}
TEST_END

struct errand {
        struct job job;
        int gate[2]; /* work() waits until a byte can be read; -1: it does not wait */
        pthread_t worked_on, done_on;
        bool worked, done;
};

static void errand_work(struct job *job)
{
        struct errand *errand = CONTAINER_OF(job, struct errand, job);
        char byte;

        if (errand->gate[0] >= 0)
                ck_assert_int_eq(read(errand->gate[0], &byte, 1), 1);
        errand->worked_on = pthread_self();
        errand->worked = true;
}

static void errand_done(struct job *job)
{
        struct errand *errand = CONTAINER_OF(job, struct errand, job);

        errand->done_on = pthread_self();
        errand->done = true;
        loop_stop(&loop);
}

static struct errand errand_make(void (*done)(struct job *job))
{
        return (struct errand){
                .job = {.home = &mailbox, .work = errand_work, .done = done},
                .gate = {-1, -1},
        };
}

TEST(a_job_works_on_the_crew_and_is_done_on_the_loop_that_asked)
{
        struct errand errand = errand_make(errand_done);
        struct crew crew;

        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        ck_assert_int_eq(crew_init(&crew, 1, 1), 0);
        ck_assert_int_eq(crew_submit(&crew, &errand.job), 0);
        ck_assert_int_eq(loop_run(&loop), 0);
        ck_assert(errand.worked && errand.done);
        ck_assert(pthread_equal(errand.done_on, pthread_self()));
        ck_assert(!pthread_equal(errand.worked_on, pthread_self()));
        crew_deinit(&crew);
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
}
TEST_END

TEST(a_full_crew_says_so_and_finishes_what_it_took_before_it_ends)
{
        struct errand busy = errand_make(NULL), waiting = errand_make(NULL),
                      refused = errand_make(NULL);
        struct crew crew;

        ck_assert_int_eq(pipe(busy.gate), 0);
        ck_assert_int_eq(crew_init(&crew, 1, 2), 0);
        ck_assert_int_eq(crew_submit(&crew, &busy.job), 0);
        ck_assert_int_eq(crew_submit(&crew, &waiting.job), 0);
        /* One may still be queued or be at work already: of two more, at least one is too many. */
        struct errand maybe = errand_make(NULL);
        int first = crew_submit(&crew, &maybe.job), second = crew_submit(&crew, &refused.job);
        ck_assert(first == -EBUSY || second == -EBUSY);
        ck_assert_int_eq(write(busy.gate[1], "x", 1), 1);
        crew_deinit(&crew);
        ck_assert(busy.worked && waiting.worked);
        ck_assert_int_eq(maybe.worked, first == 0);
        ck_assert_int_eq(refused.worked, second == 0);
}
TEST_END

TEST_MAIN("loop", a_source_removed_after_its_event_was_fetched_is_not_called_any_more,
          a_task_deferred_twice_runs_once_and_one_that_a_task_defers_runs_in_the_same_turn,
          a_timer_ends_a_loop_that_sleeps_and_not_before_its_time,
          letters_from_another_thread_wake_the_loop_and_arrive_in_order,
          a_job_works_on_the_crew_and_is_done_on_the_loop_that_asked,
          a_full_crew_says_so_and_finishes_what_it_took_before_it_ends)
