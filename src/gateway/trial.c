/* Trial boots: does a function load? See scheduler.h. */
#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/scheduler_parts.h"

#include <signal.h>
#include <string.h>

void trial_append(struct trial *trial, struct slice text)
{
        size_t room = sizeof(trial->text) - 1 - trial->text_length;
        size_t length = text.length < room ? text.length : room;

        memcpy(trial->text + trial->text_length, text.data, length);
        trial->text_length += length;
        trial->text[trial->text_length] = '\0';
}

static void trial_done_by_letter(struct letter *letter)
{
        struct trial *trial = CONTAINER_OF(letter, struct trial, letter);
        trial->done(trial);
}

static void trial_clear_text(struct trial *trial)
{
        trial->text_length = 0;
        trial->text[0] = '\0';
}

static void trial_post_done(struct trial *trial, enum outcome outcome)
{
        trial->outcome = outcome;
        trial->letter.deliver = trial_done_by_letter;
        mailbox_post(trial->home, &trial->letter);
}

void trial_say_why(struct trial *trial, struct slice why)
{
        char printed[sizeof(trial->text)];
        size_t length = trial->text_length;

        memcpy(printed, trial->text, length);
        trial_clear_text(trial);
        trial_append(trial, why);
        if (length == 0)
                return;
        if (why.length == 0 || why.data[why.length - 1] != '\n')
                trial_append(trial, SLICE("\n"));
        trial_append(trial, slice_make(printed, length));
}

void trial_fail(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct trial *trial = instance->trial;

        instance->trial = NULL;
        if (outcome == OUTCOME_PLATFORM)
                trial_clear_text(trial);
        if (outcome != OUTCOME_FUNCTION_INIT) /* else whoever refused it has said why */
                trial_say_why(trial, slice_of(detail));
        trial_post_done(trial, outcome);
}

void trial_succeed(struct instance *instance)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;

        trial_post_done(instance->trial, OUTCOME_SUCCEEDED);
        instance->trial = NULL;
        loop_remove_timer(&scheduler->thread->loop, &instance->timer);
        provisioner_boot_ready(&scheduler->provisioner, &instance->live->boots);
        accounts_boot_ended(&scheduler->accounts, instance->live->function->owner_id);
        pthread_mutex_lock(&instance->live->lock);
        pool_end(&instance->live->pool, &instance->pool);
        pthread_mutex_unlock(&instance->live->lock);
        scheduler_kill(scheduler, instance);
}

bool trial_again(struct instance *instance)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;
        struct trial *trial = instance->trial;
        bool was_killed = instance->end == SANDBOX_SIGNALLED && instance->end_code == SIGKILL;

        if (!instance->ended || (instance->end != SANDBOX_LOST && !was_killed) ||
            ++trial->losses > TRIAL_LOSSES_MAX)
                return false;
        instance->trial = NULL;
        trial_clear_text(trial);
        list_push_front(&scheduler->trials, &trial->link);
        return true;
}

/* Begins one trial, or says why not. False: not now, it waits on. */
static bool trial_begin(struct scheduler *scheduler, struct trial *trial)
{
        const struct boot_record fresh = {0};
        const struct function *function = trial->function;
        struct live *live;

        switch (provisioner_ask(&scheduler->provisioner, &fresh,
                                accounts_boots(&scheduler->accounts, function->owner_id),
                                function->memory_bytes, 0)) {
        case BOOT_NOW:
                list_remove(&trial->link);
                live = live_new_for_trial(scheduler->gateway, trial->function);
                if (live && scheduler_boot(scheduler, live, false, trial))
                        return true;
                if (live)
                        live_free(live);
                trial_append(trial, SLICE("The server cannot hold one more instance."));
                trial_post_done(trial, OUTCOME_OVERLOADED);
                return true;
        case BOOT_NO_MEMORY:
                scheduler_evict(scheduler, function);
                return false;
        case BOOT_LATER:
        case BOOT_BACKING_OFF:
                return false;
        case BOOT_TOO_LARGE:
                break;
        }
        list_remove(&trial->link);
        trial_append(trial, SLICE("This server cannot make a sandbox of that size."));
        trial_post_done(trial, OUTCOME_FUNCTION_INIT);
        return true;
}

/* Of those whose owners have the fewest boots under way, the first that came; NULL where none waits. */
static struct trial *scheduler_next_trial(struct scheduler *scheduler)
{
        struct trial *trial, *next = NULL;
        size_t fewest = SIZE_MAX;

        LIST_FOR_EACH (trial, &scheduler->trials, link) {
                size_t boots = accounts_boots(&scheduler->accounts, trial->function->owner_id);
                if (boots >= fewest)
                        continue;
                next = trial;
                fewest = boots;
        }
        return next;
}

/* Before other boots, since a person waits. */
void scheduler_run_trials(struct scheduler *scheduler)
{
        struct trial *trial;

        do
                trial = scheduler_next_trial(scheduler);
        while (trial && trial_begin(scheduler, trial));
}

void scheduler_expire_trials(struct scheduler *scheduler, uint64_t now_ns)
{
        uint64_t wait_max_ns = scheduler->gateway->config.wait_max_ms * NS_PER_MS;

        /* The front has waited longest, one that is tried again included. */
        while (!list_is_empty(&scheduler->trials)) {
                struct trial *trial =
                        CONTAINER_OF(list_peek_front(&scheduler->trials), struct trial, link);

                if (now_ns < trial->asked_ns + wait_max_ns)
                        return;
                list_remove(&trial->link);
                trial_append(trial, scheduler->host_ready
                                            ? SLICE("There was no room for a sandbox in time.")
                                            : SLICE("No sandbox can be made at the moment."));
                trial_post_done(trial,
                                scheduler->host_ready ? OUTCOME_OVERLOADED : OUTCOME_PLATFORM);
        }
}

static void trial_begin_by_letter(struct letter *letter)
{
        struct trial *trial = CONTAINER_OF(letter, struct trial, letter);
        struct scheduler *scheduler = trial->scheduler;

        trial_clear_text(trial);
        trial->losses = 0;
        trial->asked_ns = scheduler->thread->loop.now_ns;
        list_push_back(&scheduler->trials, &trial->link);
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

void scheduler_try(struct scheduler *scheduler, struct trial *trial)
{
        trial->scheduler = scheduler;
        trial->letter.deliver = trial_begin_by_letter;
        mailbox_post(&scheduler->thread->mailbox, &trial->letter);
}
