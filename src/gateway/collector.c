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
#include "ports/images.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS (60u * 60 * 1000)
#define LOOK_SOON_MS 1000
#define KEPT_LATELY_S (60u * 60)
#define ITEMS_MAX_BYTES (16u << 20) /* what is over waits for the next pass */

enum item_kind { ITEM_BUNDLE, ITEM_IMAGE, ITEM_LOG };

/* The digest of a bundle (a layer and a tree of layers are some) or of an image, or the id of a function
 * that has a log. */
struct item {
        char name[DIGEST_LENGTH + 1];
        enum item_kind kind;
        bool is_used;
};

struct pass {
        struct job job;
        struct gateway *gateway;
        uint64_t began_ms, kept_before_s;
        struct buffer items; /* struct item */
};

static void pass_add(struct pass *pass, const char *name, enum item_kind kind)
{
        struct item item = {.kind = kind};

        if (strlen(name) > DIGEST_LENGTH)
                return;
        memcpy(item.name, name, strlen(name));
        (void)buffer_append(&pass->items, &item, sizeof(item));
}

static bool pass_visit_bundle(const char *digest, void *context)
{
        pass_add(context, digest, ITEM_BUNDLE);
        return true;
}

static void pass_visit_image(const char *digest, void *context)
{
        pass_add(context, digest, ITEM_IMAGE);
}

static void pass_visit_log(const char *function_id, void *context)
{
        pass_add(context, function_id, ITEM_LOG);
}

static void pass_list(struct job *job)
{
        struct pass *pass = CONTAINER_OF(job, struct pass, job);
        struct bundles *bundles = pass->gateway->bundles;
        struct images *images = pass->gateway->images;
        AUTO(directory_close) DIR *logs = opendir(pass->gateway->logs.folder);
        const struct dirent *entry;

        (void)bundles->ops->each(bundles, pass->kept_before_s, pass_visit_bundle, pass, NULL);
        if (images)
                (void)images->ops->each(images, pass_visit_image, pass);
        while (logs && (entry = readdir(logs)))
                if (id_is_valid(slice_of(entry->d_name)))
                        pass_add(pass, entry->d_name, ITEM_LOG);
        /* What has written nothing has no folder, but perhaps somebody who follows it. */
        function_logs_each(&pass->gateway->logs, pass_visit_log, pass);
}

/* Old versions run on for a while. */
static bool some_live_uses(struct gateway *gateway, const char *digest)
{
        const struct live *live;
        bool used = false;

        pthread_mutex_lock(&gateway->lives_lock);
        LIST_FOR_EACH (live, &gateway->lives, link)
                used = used || strcmp(live->function->code_digest, digest) == 0 ||
                       strcmp(live->function->layers_digest, digest) == 0;
        pthread_mutex_unlock(&gateway->lives_lock);
        return used;
}

static bool is_used(struct gateway *gateway, const struct item *item)
{
        const struct catalog *catalog = gateway_catalog(gateway);

        if (item->kind == ITEM_LOG)
                return catalog_find_function(catalog, slice_of(item->name));
        return catalog_uses_digest(catalog, item->name) || some_live_uses(gateway, item->name);
}

static void remove_log(struct gateway *gateway, const char *id)
{
        struct function_log *log = function_log_open(&gateway->logs, id);

        if (log)
                function_log_remove(log);
        function_log_unref(log);
}

/* Which of the unused ones go is the store's to say: they may be asked for again. */
static void collect_images(const struct pass *pass, const struct item *items, size_t count)
{
        struct images *images = pass->gateway->images;
        AUTO(memory_free) struct image_use *uses = calloc(count + 1, sizeof(*uses));
        size_t found = 0;

        for (size_t i = 0; i < count && uses; i++) {
                if (items[i].kind != ITEM_IMAGE)
                        continue;
                memcpy(uses[found].digest, items[i].name, sizeof(uses[found].digest));
                uses[found++].is_used = items[i].is_used;
        }
        if (images && uses)
                images->ops->collect(images, uses, found, pass->began_ms);
}

static void pass_remove(struct job *job)
{
        struct pass *pass = CONTAINER_OF(job, struct pass, job);
        struct bundles *bundles = pass->gateway->bundles;
        const struct item *items = (const void *)pass->items.data;
        size_t count = pass->items.length / sizeof(*items);

        for (size_t i = 0; i < count; i++) {
                if (items[i].is_used)
                        continue;
                switch (items[i].kind) {
                case ITEM_BUNDLE:
                        (void)bundles->ops->remove(bundles, items[i].name, pass->kept_before_s,
                                                   NULL);
                        break;
                case ITEM_LOG:
                        remove_log(pass->gateway, items[i].name);
                        break;
                case ITEM_IMAGE:
                        break;
                }
        }
        collect_images(pass, items, count);
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
        size_t count = pass->items.length / sizeof(*items);

        for (size_t i = 0; i < count; i++)
                items[i].is_used = is_used(pass->gateway, &items[i]);
        pass->job.work = pass_remove;
        pass->job.done = pass_removed;
        if (crew_submit(pass->gateway->crew, &pass->job) < 0)
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
        pass->began_ms = clock_unix_ms();
        pass->kept_before_s = pass->began_ms / 1000 - KEPT_LATELY_S;
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

        atomic_store(&gateway->api.collector.posted, false);
        loop_set_timer(&gateway->threads[0].loop, &gateway->api.collector.timer, LOOK_SOON_MS);
}

void collector_wake(struct gateway *gateway)
{
        struct collector *collector = &gateway->api.collector;

        if (atomic_exchange(&collector->woken, true) || atomic_exchange(&collector->posted, true))
                return;
        collector->letter.deliver = collector_wake_by_letter;
        mailbox_post(&gateway->threads[0].mailbox, &collector->letter);
}
