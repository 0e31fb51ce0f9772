/* How instances end: killed, or asked first; and forgotten. ADR 0023. */
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/scheduler_parts.h"

static void scheduler_kill_by_letter(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, kill_letter);
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;

        if (!instance->gone)
                scheduler->host->ops->kill(scheduler->host, instance->id);
}

void scheduler_kill(struct scheduler *scheduler, struct instance *instance)
{
        if (atomic_exchange(&instance->kill_asked, true))
                return;
        instance->kill_letter.deliver = scheduler_kill_by_letter;
        if (scheduler_is_here(scheduler))
                scheduler_kill_by_letter(&instance->kill_letter);
        else
                mailbox_post(&scheduler->thread->mailbox, &instance->kill_letter);
}

/* Whose program has a life of its own between calls, and may have something to finish. */
static bool asks_before_the_end(const struct function *function)
{
        return function->runtime == RUNTIME_IMAGE &&
               (function->contract == CONTRACT_HTTP || function->contract == CONTRACT_LAMBDA);
}

void scheduler_on_grace_over(struct timer *timer)
{
        struct instance *instance = CONTAINER_OF(timer, struct instance, leave_timer);

        scheduler_kill(&instance_gateway(instance)->scheduler, instance);
}

static void scheduler_dismiss_by_letter(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, leave_letter);
        struct gateway *gateway = instance_gateway(instance);

        if (instance->gone)
                return;
        loop_set_timer(&gateway->scheduler.thread->loop, &instance->leave_timer,
                       gateway->config.stop_grace_ms);
}

void scheduler_dismiss(struct scheduler *scheduler, struct instance *instance)
{
        if (!asks_before_the_end(instance->live->function)) {
                scheduler_kill(scheduler, instance);
                return;
        }
        instance_close_way_in(instance);
        instance->leave_letter.deliver = scheduler_dismiss_by_letter;
        if (scheduler_is_here(scheduler))
                scheduler_dismiss_by_letter(&instance->leave_letter);
        else
                mailbox_post(&scheduler->thread->mailbox, &instance->leave_letter);
}

static void scheduler_bury(struct scheduler *scheduler, struct instance *instance)
{
        struct live *live = instance->live;

        instance_free(instance);
        live->instance_count--;
        if (live->is_trial)
                live_free(live);
        if (--scheduler->instances == 0 && scheduler->on_empty)
                scheduler->on_empty(scheduler);
}

static void scheduler_bury_all(struct gateway_round *round);

/* Those that were forgotten since the last round began. */
static void scheduler_begin_burial(struct scheduler *scheduler)
{
        if (scheduler->burying || !scheduler->forgotten)
                return;
        scheduler->burying = scheduler->forgotten;
        scheduler->forgotten = NULL;
        gateway_round(scheduler->gateway, &scheduler->burial, scheduler_bury_all);
}

static void scheduler_bury_all(struct gateway_round *round)
{
        struct scheduler *scheduler = &round->gateway->scheduler;
        struct instance *instance;

        while ((instance = scheduler->burying)) {
                scheduler->burying = instance->next_forgotten;
                scheduler_bury(scheduler, instance);
        }
        scheduler_begin_burial(scheduler);
}

static void scheduler_forget_by_letter(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, end_letter);
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;

        loop_remove_timer(&scheduler->thread->loop, &instance->leave_timer);
        instance->next_forgotten = scheduler->forgotten;
        scheduler->forgotten = instance;
        scheduler_begin_burial(scheduler);
}

/* Letters of one sender keep their order, so a kill_letter has been delivered by then; a courtesy_letter is
 * posted with the pool's lock held, while there is a call, and delivered before the round. And whoever is in
 * the middle of using it can go on, a thread that has just given it away, too: it is freed after a round. */
void scheduler_forget(struct scheduler *scheduler, struct instance *instance)
{
        instance->end_letter.deliver = scheduler_forget_by_letter;
        mailbox_post(&scheduler->thread->mailbox, &instance->end_letter);
}
