/* Instances learn how to wake up: politely while their function is called often. ADR 0004.
 *
 * A function that was called often once, and then seldom, has instances of both kinds: each is told when it
 * has a call. So a thousand that sleep are told nothing. */
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/scheduler_parts.h"

static void scheduler_teach_by_letter(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, courtesy_letter);
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;
        struct live *live = instance->live;
        bool polite;

        pthread_mutex_lock(&live->lock);
        polite = live->pool.pace.is_often;
        instance->is_polite = polite;
        instance->courtesy_posted = false;
        pthread_mutex_unlock(&live->lock);
        if (!instance->gone)
                scheduler->host->ops->set_courtesy(scheduler->host, instance->id, polite);
}

void scheduler_teach(struct instance *instance)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;

        if (instance->is_polite == instance->live->pool.pace.is_often || instance->courtesy_posted)
                return;
        instance->courtesy_posted = true;
        instance->courtesy_letter.deliver = scheduler_teach_by_letter;
        mailbox_post(&scheduler->thread->mailbox, &instance->courtesy_letter);
}
