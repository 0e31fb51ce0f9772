/* Threads for blocking work; see crew.h. */
#include "base/crew.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

static void job_deliver(struct letter *letter)
{
        struct job *job = CONTAINER_OF(letter, struct job, letter);
        job->done(job);
}

static void *crew_main(void *argument)
{
        struct crew *crew = argument;

        pthread_mutex_lock(&crew->lock);
        for (;;) {
                while (list_is_empty(&crew->waiting) && !crew->stopping)
                        pthread_cond_wait(&crew->wake, &crew->lock);
                if (list_is_empty(&crew->waiting))
                        break;
                struct job *job = CONTAINER_OF(list_pop_front(&crew->waiting), struct job, link);
                void (*done)(struct job *) = job->done;
                crew->waiting_count--;
                pthread_mutex_unlock(&crew->lock);

                job->work(job);
                if (done) {
                        job->letter.deliver = job_deliver;
                        mailbox_post(job->home, &job->letter);
                }
                pthread_mutex_lock(&crew->lock);
        }
        pthread_mutex_unlock(&crew->lock);
        return NULL;
}

int crew_init(struct crew *crew, size_t thread_count, size_t waiting_max)
{
        sigset_t all, before;
        int r = 0;

        assert(thread_count >= 1 && thread_count <= 8);
        *crew = (struct crew){.waiting_max = waiting_max};
        pthread_mutex_init(&crew->lock, NULL);
        pthread_cond_init(&crew->wake, NULL);
        list_init(&crew->waiting);

        /* Signals are the main thread's. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (crew->thread_count < thread_count && r == 0) {
                r = pthread_create(&crew->threads[crew->thread_count], NULL, crew_main, crew);
                if (r == 0)
                        crew->thread_count++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0)
                crew_deinit(crew);
        return -r;
}

void crew_deinit(struct crew *crew)
{
        pthread_mutex_lock(&crew->lock);
        crew->stopping = true;
        pthread_cond_broadcast(&crew->wake);
        pthread_mutex_unlock(&crew->lock);
        for (size_t i = 0; i < crew->thread_count; i++)
                pthread_join(crew->threads[i], NULL);
        crew->thread_count = 0;
        pthread_cond_destroy(&crew->wake);
        pthread_mutex_destroy(&crew->lock);
}

int crew_submit(struct crew *crew, struct job *job)
{
        int r = 0;

        pthread_mutex_lock(&crew->lock);
        if (crew->waiting_count >= crew->waiting_max || crew->stopping) {
                r = -EBUSY;
        } else {
                list_init(&job->link);
                list_push_back(&crew->waiting, &job->link);
                crew->waiting_count++;
                pthread_cond_signal(&crew->wake);
        }
        pthread_mutex_unlock(&crew->lock);
        return r;
}
