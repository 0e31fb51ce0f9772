/* Parked sandboxes; see stock.h. */
#include "agent/stock.h"

#include "agent/agent.h"
#include "agent/gateway.h"
#include "agent/runtime.h"
#include "base/auto.h"
#include "base/log.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WANTED_FIRST 2
#define WANTED_MAX 16
/* Longer than a cold start takes, so that the two do not fight for a processor. */
#define REFILL_QUIET_MS 4
#define REVIEW_EVERY_MS 10000
#define UNUSED_NS (600 * 1000000000ull)
#define MEMORY_FIRST (128ull << 20)
#define PROCESSES_FIRST 256
#define TMP_FIRST (64ull << 20)
#define REHEARSAL_MEMORY (16ull << 20) /* who has less gets no interpreter that waited */

static void refill_on_timer(struct timer *timer);
static void review_on_timer(struct timer *timer);

static const struct slot_ids usual_ids = {SLOT_UID_INSIDE, SLOT_UID_INSIDE};

static struct stock_kind *stock_add_kind(struct stock *stock, enum agent_runtime runtime)
{
        struct stock_kind *kind = &stock->kinds[stock->kind_count++];

        memset(kind, 0, sizeof(*kind));
        list_init(&kind->parked);
        list_init(&kind->arriving);
        kind->runtime = runtime;
        kind->ids = usual_ids;
        kind->wanted = WANTED_FIRST;
        return kind;
}

void stock_init(struct stock *stock, struct agent *agent, size_t most)
{
        struct stock_kind *bare;

        *stock = (struct stock){.agent = agent, .most = most};
        list_init(&stock->asked);
        timer_init(&stock->refill, refill_on_timer);
        timer_init(&stock->review, review_on_timer);
        loop_set_timer(&agent->loop, &stock->review, REVIEW_EVERY_MS); /* of heirlooms, too */
        if (most == 0)
                return;
        bare = stock_add_kind(stock, 0);
        bare->limits = (struct cgroup_limits){.memory_bytes = MEMORY_FIRST,
                                              .process_max = PROCESSES_FIRST};
        bare->tmp_bytes = TMP_FIRST;
        loop_set_timer(&agent->loop, &stock->refill, 0);
}

/* Takes the oldest out of its kind. */
static struct instance *stock_pop(struct stock *stock, struct stock_kind *kind)
{
        struct list *link = list_pop_front(&kind->parked);

        if (!link)
                return NULL;
        kind->count--;
        stock->count--;
        if (kind->count < kind->least)
                kind->least = kind->count;
        return CONTAINER_OF(link, struct instance, by_gateway);
}

void stock_close(struct stock *stock)
{
        loop_remove_timer(&stock->agent->loop, &stock->refill);
        loop_remove_timer(&stock->agent->loop, &stock->review);
        stock->most = 0;
        for (size_t i = 0; i < stock->kind_count; i++) {
                struct instance *instance;
                while ((instance = stock_pop(stock, &stock->kinds[i])))
                        instance_kill(instance);
        }
        stock_lost_nursery(stock, AGENT_RUNTIME_PYTHON3);
        stock_lost_nursery(stock, AGENT_RUNTIME_NODE);
}

/* NULL where nobody of that number is on the way. */
static struct instance *stock_find_arriving(struct stock *stock, uint64_t number,
                                            struct stock_kind **ret_kind)
{
        struct instance *instance;

        for (size_t i = 0; i < stock->kind_count; i++)
                LIST_FOR_EACH (instance, &stock->kinds[i].arriving, by_gateway)
                        if (instance->birth == number) {
                                *ret_kind = &stock->kinds[i];
                                return instance;
                        }
        return NULL;
}

/* NULL where it has died meanwhile. */
static struct instance *take_asked(struct stock *stock, uint64_t number)
{
        struct instance *instance;

        LIST_FOR_EACH (instance, &stock->asked, by_birth)
                if (instance->birth == number) {
                        list_remove(&instance->by_birth);
                        return instance;
                }
        return NULL;
}

void stock_arrived(struct stock *stock, uint64_t number)
{
        struct stock_kind *kind;
        struct instance *instance = stock_find_arriving(stock, number, &kind);

        if (!instance) {
                (void)take_asked(stock, number);
                return;
        }
        list_remove(&instance->by_gateway);
        list_push_back(&kind->parked, &instance->by_gateway);
        kind->arriving_count--;
        kind->count++;
        gateway_tell_stock(stock->agent);
}

static void stock_give_up(struct stock *stock, struct stock_kind *kind, struct instance *instance)
{
        list_remove(&instance->by_gateway);
        kind->arriving_count--;
        stock->count--;
        instance_kill(instance);
}

void stock_failed(struct stock *stock, uint64_t number)
{
        struct stock_kind *kind;
        struct instance *instance = stock_find_arriving(stock, number, &kind);

        if (!instance) {
                instance = take_asked(stock, number);
                if (instance)
                        instance_kill(instance);
                return;
        }
        kind->wanted = 0; /* until it is asked for again, or reviewed */
        stock_give_up(stock, kind, instance);
}

void stock_lost_nursery(struct stock *stock, enum agent_runtime runtime)
{
        struct instance *asked, *next;

        LIST_FOR_EACH_SAFE (asked, next, &stock->asked, by_birth) {
                if (asked->made.runtime != runtime)
                        continue;
                list_remove(&asked->by_birth);
                instance_kill(asked);
        }
        for (size_t i = 0; i < stock->kind_count; i++) {
                struct stock_kind *kind = &stock->kinds[i];
                struct instance *instance, *after;
                if (kind->runtime != runtime)
                        continue;
                LIST_FOR_EACH_SAFE (instance, after, &kind->arriving, by_gateway)
                        stock_give_up(stock, kind, instance);
                LIST_FOR_EACH (instance, &kind->parked, by_gateway)
                        instance->made.from_nursery = false;
        }
}

bool stock_awaits_birth(const struct stock *stock, enum agent_runtime runtime)
{
        const struct instance *asked;

        LIST_FOR_EACH (asked, &stock->asked, by_birth)
                if (asked->made.runtime == runtime)
                        return true;
        for (size_t i = 0; i < stock->kind_count; i++)
                if (stock->kinds[i].runtime == runtime && stock->kinds[i].arriving_count > 0)
                        return true;
        return false;
}

static bool is_in(const struct instance *instance, struct list *list)
{
        const struct instance *each;

        LIST_FOR_EACH (each, list, by_gateway)
                if (each == instance)
                        return true;
        return false;
}

void stock_forget(struct stock *stock, struct instance *instance)
{
        for (size_t i = 0; i < stock->kind_count; i++) {
                struct stock_kind *kind = &stock->kinds[i];
                if (is_in(instance, &kind->parked))
                        kind->count--;
                else if (is_in(instance, &kind->arriving))
                        kind->arriving_count--;
                else
                        continue;
                list_remove(&instance->by_gateway);
                stock->count--;
                kind->wanted = 0; /* who dies while waiting would die again, and at once */
                return;
        }
}

/* The heap's size alone, which a fork of Node's nursery can be told later (runtimes/node/parking.js). */
static bool is_heap_option(const char *assignment)
{
        static const char variable[] = "NODE_OPTIONS=", most[] = NURSERY_HEAP_OPTION;
        const char *option = assignment + strlen(variable);
        size_t prefix = strcspn(most, "=") + 1;
        unsigned long long value;
        char *end;

        if (strncmp(assignment, variable, strlen(variable)) != 0 ||
            strncmp(option, most, prefix) != 0 || !isdigit((unsigned char)option[prefix]))
                return false;
        value = strtoull(option + prefix, &end, 10);
        return *end == '\0' && value > 0 && value <= strtoull(most + prefix, NULL, 10);
}

/* False where that is too long. */
static bool fill_key(const struct agent_spawn *request, bool can_be_told, struct stock_key *ret_key)
{
        ret_key->length = 0;
        ret_key->is_told = false;
        for (size_t i = 0; i < request->env_count; i++) {
                size_t here = strlen(request->env[i]) + 1;
                if (!runtime_is_early(request->env[i]))
                        continue;
                if (can_be_told && is_heap_option(request->env[i])) {
                        ret_key->is_told = true;
                        continue;
                }
                if (here > STOCK_KEY_MAX - ret_key->length)
                        return false;
                memcpy(ret_key->bytes + ret_key->length, request->env[i], here);
                ret_key->length += here;
        }
        return true;
}

static bool make_key(struct stock *stock, const struct agent_spawn *request,
                     struct stock_key *ret_key)
{
        bool can_be_told = request->runtime == AGENT_RUNTIME_NODE &&
                           nursery_is_open(&stock->agent->node_nursery);

        if (!fill_key(request, can_be_told, ret_key))
                return false;
        /* Whatever else is read early takes an interpreter that is started. */
        return !ret_key->is_told || ret_key->length == 0 || fill_key(request, false, ret_key);
}

static bool same_key(const struct stock_key *a, const struct stock_key *b)
{
        return a->length == b->length && a->is_told == b->is_told &&
               memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void set_key(struct stock_kind *kind, const struct stock_key *key)
{
        kind->key = *key;
        kind->early_count = 0;
        for (size_t at = 0; at < key->length; at += strlen(kind->key.bytes + at) + 1)
                kind->early[kind->early_count++] = kind->key.bytes + at;
}

/* No function has a say in what it is like. */
static bool is_usual(enum agent_runtime runtime, const struct stock_key *key)
{
        return runtime != AGENT_RUNTIME_IMAGE && key->length == 0;
}

static bool has_room_for(const struct stock *stock, enum agent_runtime runtime,
                         const struct stock_key *key)
{
        size_t peculiar = 0;

        for (size_t i = 0; i < stock->kind_count; i++)
                peculiar += !is_usual(stock->kinds[i].runtime, &stock->kinds[i].key);
        return is_usual(runtime, key) || peculiar < STOCK_PECULIAR_KINDS_MAX;
}

/* The peculiar kind that was not used for longest, and has nothing parked. NULL: all have. */
static struct stock_kind *find_replaceable(struct stock *stock)
{
        struct stock_kind *found = NULL;

        for (size_t i = 0; i < stock->kind_count; i++) {
                struct stock_kind *kind = &stock->kinds[i];
                if (!is_usual(kind->runtime, &kind->key) &&
                    kind->count + kind->arriving_count == 0 &&
                    (!found || kind->used_ns < found->used_ns))
                        found = kind;
        }
        return found;
}

static bool has_ids(const struct stock_kind *kind, struct slot_ids ids)
{
        return kind->ids.user == ids.user && kind->ids.group == ids.group;
}

/* The kind that is so, or a new one; NULL where there is no room for one. */
static struct stock_kind *find_or_add(struct stock *stock, enum agent_runtime runtime,
                                      struct slot_ids ids, const struct stock_key *key)
{
        struct stock_kind *kind;

        for (size_t i = 0; i < stock->kind_count; i++) {
                kind = &stock->kinds[i];
                if (kind->runtime == runtime && has_ids(kind, ids) && same_key(&kind->key, key))
                        return kind;
        }
        if (has_room_for(stock, runtime, key)) {
                kind = stock_add_kind(stock, runtime);
        } else {
                kind = find_replaceable(stock);
                if (!kind)
                        return NULL;
                kind->runtime = runtime;
                kind->wanted = WANTED_FIRST;
        }
        kind->ids = ids;
        set_key(kind, key);
        return kind;
}

/* The kind of stock with this request's interpreter, or for its image. NULL: it has none. */
static struct stock_kind *kind_of(struct stock *stock, const struct agent_spawn *request)
{
        struct stock_key key = {.length = 0};

        if (request->runtime == AGENT_RUNTIME_IMAGE)
                return find_or_add(stock, request->runtime, runtime_ids(request), &key);
        if (request->plain || !runtime_can_park(request->runtime) ||
            request->memory_bytes < REHEARSAL_MEMORY || !make_key(stock, request, &key))
                return NULL;
        return find_or_add(stock, request->runtime, runtime_ids(request), &key);
}

/* The news of its death may be on its way. */
static bool is_alive(const struct instance *instance)
{
        struct pollfd exit = {.fd = instance->made.pid_fd, .events = POLLIN};

        return poll(&exit, 1, 0) == 0;
}

static struct instance *take_from(struct stock *stock, struct stock_kind *kind,
                                  const struct agent_spawn *request)
{
        struct instance *instance = stock_pop(stock, kind);

        while (instance && !is_alive(instance))
                instance = stock_pop(stock, kind);
        kind->limits = (struct cgroup_limits){.memory_bytes = request->memory_bytes,
                                              .process_max = request->process_max,
                                              .cpu_millis = request->cpu_millis};
        kind->tmp_bytes = request->tmp_bytes;
        kind->used_ns = stock->agent->loop.now_ns;
        if (kind->count == 0)
                kind->wanted = kind->wanted == 0               ? WANTED_FIRST
                               : kind->wanted * 2 > WANTED_MAX ? WANTED_MAX
                                                               : kind->wanted * 2;
        /* A line that empties is not left to wait for a quiet moment. */
        loop_set_timer(&stock->agent->loop, &stock->refill,
                       kind->count * 2 < kind->wanted ? 0 : REFILL_QUIET_MS);
        return instance;
}

/* On its way into the stock. A sandbox made for the request would have its interpreter later. */
static struct instance *take_arriving(struct stock *stock, struct stock_kind *kind)
{
        for (struct list *link; (link = list_pop_front(&kind->arriving));) {
                struct instance *instance = CONTAINER_OF(link, struct instance, by_gateway);
                kind->arriving_count--;
                stock->count--;
                list_push_back(&stock->asked, &instance->by_birth);
                if (is_alive(instance))
                        return instance;
        }
        return NULL;
}

struct instance *stock_take(struct stock *stock, const struct agent_spawn *request)
{
        struct stock_kind *kind;
        struct instance *instance = NULL;

        if (stock->most == 0)
                return NULL;
        kind = kind_of(stock, request);
        if (kind)
                instance = take_from(stock, kind, request);
        if (!instance && kind && stock_can_fork(stock, request))
                instance = take_arriving(stock, kind);
        if (!instance && request->runtime != AGENT_RUNTIME_IMAGE && !stock_can_fork(stock, request))
                instance = take_from(stock, &stock->kinds[0], request);
        return instance;
}

/* NULL where there is none for the kind: nurseries run as root, and serve those whose functions have no
 * say in how they start. */
static struct nursery *nursery_of(struct stock *stock, enum agent_runtime runtime,
                                  const struct stock_key *key)
{
        if (key->length > 0)
                return NULL;
        return runtime == AGENT_RUNTIME_PYTHON3 ? &stock->agent->python_nursery
               : runtime == AGENT_RUNTIME_NODE  ? &stock->agent->node_nursery
                                                : NULL;
}

/* On its way into the sandbox the helper is there besides, and magpie-init. Node has five threads more,
 * at the least. */
static uint32_t processes_on_the_way(enum agent_runtime runtime)
{
        return runtime == AGENT_RUNTIME_NODE ? 8 : 3;
}

bool stock_can_fork(struct stock *stock, const struct agent_spawn *request)
{
        struct nursery *nursery;
        struct stock_key key;

        if (stock->most == 0 || request->plain ||
            request->process_max < processes_on_the_way(request->runtime) ||
            !make_key(stock, request, &key))
                return false;
        nursery = nursery_of(stock, request->runtime, &key);
        return nursery && nursery_is_open(nursery) && nursery->is_quick &&
               !nursery_is_late(nursery);
}

static int ask_nursery(struct stock *stock, struct instance *instance)
{
        static const struct stock_key none = {.length = 0};
        struct nursery *nursery = nursery_of(stock, instance->made.runtime, &none);
        int r;

        instance->birth = ++stock->next_number;
        r = nursery_ask(nursery, instance, instance->birth);
        fd_close(&instance->made.adopted_log_fd);
        return r;
}

int stock_ask_nursery(struct stock *stock, struct instance *instance)
{
        int r = ask_nursery(stock, instance);

        if (r < 0)
                instance_kill(instance);
        else
                list_push_back(&stock->asked, &instance->by_birth);
        return r;
}

static bool comes_from_nursery(struct stock *stock, const struct stock_kind *kind)
{
        struct nursery *nursery = nursery_of(stock, kind->runtime, &kind->key);

        return nursery && nursery_is_open(nursery);
}

/* The kind that has the smallest part of what it wants; where there is no room for all, the smallest: a
 * large one must not keep out the others. NULL: all have what they want. */
static struct stock_kind *find_shortest(struct stock *stock)
{
        bool is_full = stock->count >= stock->most;
        struct stock_kind *found = NULL;
        size_t found_there = 0;

        for (size_t i = 0; i < stock->kind_count; i++) {
                struct stock_kind *kind = &stock->kinds[i];
                size_t there = kind->count + kind->arriving_count;
                if (there >= kind->wanted ||
                    (kind->key.is_told && !comes_from_nursery(stock, kind)))
                        continue;
                if (!found || (is_full ? there < found_there
                                       : there * found->wanted < found_there * kind->wanted)) {
                        found = kind;
                        found_there = there;
                }
        }
        return found;
}

/* One of the kind that has most goes, where it has more than `kind` would have then. */
static bool make_room(struct stock *stock, const struct stock_kind *kind)
{
        struct stock_kind *largest = &stock->kinds[0];

        for (size_t i = 1; i < stock->kind_count; i++)
                if (stock->kinds[i].count > largest->count)
                        largest = &stock->kinds[i];
        if (largest->count <= kind->count + kind->arriving_count + 1)
                return false;
        largest->wanted = largest->count - 1;
        instance_kill(stock_pop(stock, largest));
        return true;
}

static int park_one(struct stock *stock, struct stock_kind *kind, struct err *err)
{
        struct parking parking = {.runtime = kind->runtime,
                                  .adopts = comes_from_nursery(stock, kind),
                                  .ids = kind->ids,
                                  .limits = kind->limits,
                                  .tmp_bytes = kind->tmp_bytes,
                                  .early = kind->early,
                                  .early_count = kind->early_count};
        struct instance *instance;
        int r;

        if (parking.adopts && parking.limits.process_max < processes_on_the_way(kind->runtime))
                parking.limits.process_max = processes_on_the_way(kind->runtime);
        r = instance_park(stock->agent, &parking, &instance, err);

        if (r < 0)
                return r;
        stock->count++;
        if (!parking.adopts) {
                list_push_back(&kind->parked, &instance->by_gateway);
                kind->count++;
                return 0;
        }
        r = ask_nursery(stock, instance);
        if (r < 0) {
                stock->count--;
                instance_kill(instance);
                return err_errno(err, r, "asking the nursery");
        }
        list_push_back(&kind->arriving, &instance->by_gateway);
        kind->arriving_count++;
        return 0;
}

/* One sandbox a turn of the loop: requests that have come meanwhile go first. */
static void refill_on_timer(struct timer *timer)
{
        struct stock *stock = CONTAINER_OF(timer, struct stock, refill);
        struct stock_kind *kind = find_shortest(stock);
        struct err err = {0};

        if (!kind || (stock->count >= stock->most && !make_room(stock, kind))) {
                gateway_tell_stock(stock->agent);
                return;
        }
        if (park_one(stock, kind, &err) < 0) {
                log_warn("making a sandbox in advance: %s", err.text);
                kind->wanted = 0; /* until it is asked for again, or reviewed */
        }
        if (find_shortest(stock))
                loop_set_timer(&stock->agent->loop, timer, 0);
        else
                gateway_tell_stock(stock->agent);
}

/* Half of what nobody has touched goes, and all of a kind that is out of use. */
static void review_kind(struct stock *stock, struct stock_kind *kind, bool is_bare)
{
        bool unused = stock->agent->loop.now_ns - kind->used_ns > UNUSED_NS;
        size_t keep = is_bare ? WANTED_FIRST : unused ? 0 : WANTED_FIRST;

        kind->wanted -= kind->least / 2 < kind->wanted ? kind->least / 2 : kind->wanted;
        if (unused || kind->wanted < keep)
                kind->wanted = keep;
        while (kind->count > kind->wanted)
                instance_kill(stock_pop(stock, kind));
        kind->least = kind->count;
}

static void review_on_timer(struct timer *timer)
{
        struct stock *stock = CONTAINER_OF(timer, struct stock, review);

        for (size_t i = 0; i < stock->kind_count; i++)
                review_kind(stock, &stock->kinds[i], i == 0);
        heirlooms_review(&stock->agent->heirlooms, stock->agent->loop.now_ns);
        gateway_tell_stock(stock->agent);
        if (find_shortest(stock)) /* what could not be made, or died while it waited */
                loop_set_timer(&stock->agent->loop, &stock->refill, 0);
        loop_set_timer(&stock->agent->loop, timer, REVIEW_EVERY_MS);
}
