/* Removing what is unused; see collector.h.
 *
 * A pass lists (crew), chooses (loop, where the catalog may be read), removes (crew). Code that was
 * kept lately is left for a later pass: the function that it is for may not be in the catalog yet.
 */
#include "gateway/collector.h"

#include "base/auto.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "gateway/gateway.h"
#include "ports/bundles.h"

#include <stdlib.h>

#define LOOK_EVERY_MS (60u * 60 * 1000)
#define LOOK_SOON_MS 1000
#define KEPT_LATELY_S (60u * 60)
#define ITEMS_MAX_BYTES (16u << 20) /* what is over waits for the next pass */

/* A bundle's digest, or the id of a function that has a log. */
struct item {
        char name[DIGEST_LENGTH + 1];
        bool is_log;
};

struct pass {
        struct job job;
        struct gateway *gateway;
        uint64_t kept_before_s;
        struct buffer items; /* struct item */
};

static void pass_add(struct pass *pass, const char *name, bool is_log)
{
        struct item item = {.is_log = is_log};

        if (strlen(name) > DIGEST_LENGTH)
                return;
        memcpy(item.name, name, strlen(name));
        (void)buffer_append(&pass->items, &item, sizeof(item));
}

static bool pass_visit_bundle(const char *digest, void *context)
{
        pass_add(context, digest, false);
        return true;
}

static void pass_list(struct job *job)
{
        struct pass *pass = CONTAINER_OF(job, struct pass, job);
        struct bundles *bundles = pass->gateway->bundles;
        AUTO(directory_close) DIR *logs = opendir(pass->gateway->logs.folder);
        const struct dirent *entry;

        (void)bundles->ops->each(bundles, pass->kept_before_s, pass_visit_bundle, pass, NULL);
        while (logs && (entry = readdir(logs)))
                if (id_is_valid(slice_of(entry->d_name)))
                        pass_add(pass, entry->d_name, true);
}

/* Old versions run on for a while. */
static bool some_live_uses(struct gateway *gateway, const char *digest)
{
        const struct live *live;
        bool used = false;

        pthread_mutex_lock(&gateway->lives_lock);
        LIST_FOR_EACH (live, &gateway->lives, link)
                used = used || strcmp(live->function->code_digest, digest) == 0;
        pthread_mutex_unlock(&gateway->lives_lock);
        return used;
}

static bool is_used(struct gateway *gateway, const struct item *item)
{
        const struct catalog *catalog = gateway_catalog(gateway);

        if (item->is_log)
                return catalog_find_function(catalog, slice_of(item->name));
        return catalog_uses_digest(catalog, item->name) || some_live_uses(gateway, item->name);
}

static void pass_remove(struct job *job)
{
        struct pass *pass = CONTAINER_OF(job, struct pass, job);
        struct bundles *bundles = pass->gateway->bundles;
        const struct item *items = (const void *)pass->items.data;

        for (size_t i = 0; i < pass->items.length / sizeof(*items); i++) {
                if (!items[i].is_log) {
                        (void)bundles->ops->remove(bundles, items[i].name, pass->kept_before_s,
                                                   NULL);
                        continue;
                }
                struct function_log *log = function_log_open(&pass->gateway->logs, items[i].name);
                if (log)
                        function_log_remove(log);
                function_log_unref(log);
        }
}

static void pass_end(struct pass *pass)
{
        atomic_fetch_sub(&pass->gateway->api.call_count, 1);
        buffer_deinit(&pass->items);
        free(pass);
}

static void pass_removed(struct job *job)
{
        pass_end(CONTAINER_OF(job, struct pass, job));
}

static void pass_choose(struct job *job)
{
        struct pass *pass = CONTAINER_OF(job, struct pass, job);
        struct item *items = (void *)pass->items.data;
        size_t count = pass->items.length / sizeof(*items), kept = 0;

        for (size_t i = 0; i < count; i++)
                if (!is_used(pass->gateway, &items[i]))
                        items[kept++] = items[i];
        pass->items.length = kept * sizeof(*items);
        pass->job.work = pass_remove;
        pass->job.done = pass_removed;
        if (kept == 0 || crew_submit(pass->gateway->crew, &pass->job) < 0)
                pass_end(pass);
}

static void collector_on_timer(struct timer *timer)
{
        struct gateway *gateway = CONTAINER_OF(timer, struct gateway, api.collector.timer);
        struct pass *pass = calloc(1, sizeof(*pass));

        atomic_store(&gateway->api.collector.woken, false);
        loop_set_timer(&gateway->threads[0].loop, timer, LOOK_EVERY_MS);
        if (!pass)
                return;
        atomic_fetch_add(&gateway->api.call_count, 1);
        pass->gateway = gateway;
        pass->kept_before_s = clock_unix_ms() / 1000 - KEPT_LATELY_S;
        buffer_init(&pass->items, ITEMS_MAX_BYTES);
        pass->job = (struct job){
                .home = &gateway->threads[0].mailbox, .work = pass_list, .done = pass_choose};
        if (crew_submit(gateway->crew, &pass->job) < 0)
                pass_end(pass);
}

void collector_start(struct gateway *gateway)
{
        timer_init(&gateway->api.collector.timer, collector_on_timer);
        loop_set_timer(&gateway->threads[0].loop, &gateway->api.collector.timer, LOOK_SOON_MS);
}

static void collector_wake_by_letter(struct letter *letter)
{
        struct gateway *gateway = CONTAINER_OF(letter, struct gateway, api.collector.letter);

        loop_set_timer(&gateway->threads[0].loop, &gateway->api.collector.timer, LOOK_SOON_MS);
}

void collector_wake(struct gateway *gateway)
{
        struct collector *collector = &gateway->api.collector;

        if (atomic_exchange(&collector->woken, true))
                return;
        collector->letter.deliver = collector_wake_by_letter;
        mailbox_post(&gateway->threads[0].mailbox, &collector->letter);
}
