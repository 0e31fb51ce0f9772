/* Virtual time passes; see trace_simulation.h. */
#include "trace_simulation.h"

#include "base/clock.h"
#include "core/pool/pool.h"

#include <assert.h>
#include <stdlib.h>

#define TICK_NS (5 * NS_PER_S)           /* ends and boots ahead are this exact */
#define TICK_WAITING_NS (10 * NS_PER_MS) /* as the gateway's while calls wait */

struct run {
        struct pool_call call;
        uint64_t run_ns, end_ns;
};

struct made {
        struct pool_instance instance;
        uint64_t ordered_ns, ready_ns;
        struct made *next; /* of those that boot */
};

struct simulation {
        const struct trace *trace;
        const struct policy *policy;
        uint64_t boot_ns, now_ns, tick_ns;
        struct tally *tally;
        struct pool pool;
        struct pool_bounds bounds;
        struct keep_alive learned;
        struct run *runs, **by_end; /* every call; those that run as a heap, the first end on top */
        size_t begun, running;
        struct made *booting, **booting_end; /* all take equally long: in order */
};

static void *allocate(size_t count, size_t size)
{
        void *memory = calloc(count > 0 ? count : 1, size);

        if (!memory)
                abort();
        return memory;
}

/* The heap of running calls ------------------------------------------------------------------------ */

static void heap_swap(struct run **a, struct run **b)
{
        struct run *c = *a;

        *a = *b;
        *b = c;
}

static void heap_push(struct simulation *s, struct run *run)
{
        struct run **heap = s->by_end;
        size_t i = s->running++;

        heap[i] = run;
        for (; i > 0 && heap[(i - 1) / 2]->end_ns > heap[i]->end_ns; i = (i - 1) / 2)
                heap_swap(&heap[i], &heap[(i - 1) / 2]);
}

static struct run *heap_pop(struct simulation *s)
{
        struct run **heap = s->by_end, *top = heap[0];
        size_t i = 0;

        heap[0] = heap[--s->running];
        for (;;) {
                size_t first = i, left = 2 * i + 1;
                for (size_t child = left; child <= left + 1 && child < s->running; child++)
                        if (heap[child]->end_ns < heap[first]->end_ns)
                                first = child;
                if (first == i)
                        return top;
                heap_swap(&heap[i], &heap[first]);
                i = first;
        }
}

/* Instances ---------------------------------------------------------------------------------------- */

static void simulation_boot(struct simulation *s, size_t count, bool ahead)
{
        for (; count > 0; count--) {
                struct made *made = allocate(1, sizeof(*made));

                pool_instance_init(&made->instance);
                made->instance.is_ahead = ahead;
                made->ordered_ns = s->now_ns;
                made->ready_ns = s->now_ns + s->boot_ns;
                *s->booting_end = made;
                s->booting_end = &made->next;
                pool_add_booting(&s->pool, &made->instance, s->now_ns);
                s->tally->ahead += ahead;
        }
}

static void simulation_end(struct simulation *s, struct pool_instance *instance)
{
        struct made *made = CONTAINER_OF(instance, struct made, instance);

        s->tally->memory_mib_s +=
                s->trace->memory_mib * (double)(s->now_ns - made->ordered_ns) / (double)NS_PER_S;
        s->tally->ahead_unused += instance->is_ahead && instance->is_fresh;
        pool_remove(&s->pool, instance);
        free(made);
}

/* Has the pool given it an instance? */
static void simulation_run(struct simulation *s, struct pool_call *call)
{
        struct run *run = CONTAINER_OF(call, struct run, call);
        uint64_t end_ns = s->now_ns + run->run_ns;

        s->tally->cold += call->start == START_COLD;
        s->tally->stolen += call->start == START_STOLEN;
        run->end_ns = end_ns < s->trace->end_ns ? end_ns : s->trace->end_ns;
        s->tally->busy_mib_s +=
                s->trace->memory_mib * (double)(run->end_ns - s->now_ns) / (double)NS_PER_S;
        heap_push(s, run);
}

static void simulation_plan(struct simulation *s)
{
        simulation_boot(s,
                        pool_wanted_boots(&s->pool, s->now_ns, s->bounds.min_instances,
                                          s->bounds.max_instances),
                        false);
        if (s->pool.waiting_count > 0 && s->tick_ns > s->now_ns + TICK_WAITING_NS)
                s->tick_ns = s->now_ns + TICK_WAITING_NS;
}

/* Events ------------------------------------------------------------------------------------------- */

static void on_call(struct simulation *s)
{
        const struct trace_call *call = &s->trace->calls[s->begun];
        struct run *run = &s->runs[s->begun++];

        s->tally->calls++;
        run->run_ns = call->run_ns;
        pool_call_init(&run->call, 0);
        switch (pool_take(&s->pool, &run->call, s->now_ns)) {
        case TAKE_RUNNING:
                simulation_run(s, &run->call);
                break;
        case TAKE_WAITING:
                simulation_plan(s);
                break;
        case TAKE_AHEAD:
                abort(); /* no call of a trace is that quick: the reader sees to it */
        }
}

static void on_answer(struct simulation *s)
{
        struct run *run = heap_pop(s);
        struct pool_instance *instance = run->call.instance;
        struct pool_call *next = NULL;

        switch (pool_release(&s->pool, &run->call, s->now_ns, &next)) {
        case RELEASE_HANDED:
                simulation_run(s, next);
                break;
        case RELEASE_END:
                simulation_end(s, instance);
                break;
        case RELEASE_IDLE:
        case RELEASE_NEXT:
        case RELEASE_BUSY:
                break;
        }
}

static void on_ready(struct simulation *s)
{
        struct made *made = s->booting;
        struct pool_call *next = NULL;

        s->booting = made->next;
        if (!s->booting)
                s->booting_end = &s->booting;
        switch (pool_ready(&s->pool, &made->instance, s->now_ns, &next)) {
        case RELEASE_HANDED:
                simulation_run(s, next);
                break;
        case RELEASE_END:
                simulation_end(s, &made->instance);
                break;
        case RELEASE_IDLE:
        case RELEASE_NEXT:
        case RELEASE_BUSY:
                break;
        }
}

static void on_tick(struct simulation *s)
{
        struct pool_instance *instance;

        s->tick_ns = s->now_ns - s->now_ns % TICK_NS + TICK_NS;
        if (s->policy->make_plan && s->learned.is_stale) {
                s->policy->make_plan(&s->learned.times, s->learned.warm);
                s->learned.is_stale = false;
        }
        while ((instance = pool_expire_excess(&s->pool, &s->bounds, s->now_ns)))
                simulation_end(s, instance);
        simulation_plan(s);
        simulation_boot(s, pool_wanted_ahead(&s->pool, &s->bounds, s->now_ns), true);
}

/* What happens next, ends before beginnings: NULL when the trace is over. */
static void (*simulation_next(struct simulation *s))(struct simulation *s)
{
        void (*happens)(struct simulation * s) = NULL;
        uint64_t at_ns = s->trace->end_ns;

        if (s->begun < s->trace->call_count && s->trace->calls[s->begun].begin_ns < at_ns) {
                at_ns = s->trace->calls[s->begun].begin_ns;
                happens = on_call;
        }
        if (s->booting && s->booting->ready_ns < at_ns) {
                at_ns = s->booting->ready_ns;
                happens = on_ready;
        }
        if (s->running > 0 && s->by_end[0]->end_ns <= at_ns &&
            s->by_end[0]->end_ns < s->trace->end_ns) {
                at_ns = s->by_end[0]->end_ns;
                happens = on_answer;
        }
        if (s->tick_ns < at_ns) {
                at_ns = s->tick_ns;
                happens = on_tick;
        }
        s->now_ns = at_ns;
        return happens;
}

/* The books are closed: whatever is left has cost its memory until now. */
static void simulation_close(struct simulation *s)
{
        struct pool_instance *instance;

        s->pool.draining = true;
        while (pool_pop(&s->pool)) {
        }
        while (s->booting)
                on_ready(s);
        while (s->running > 0)
                on_answer(s);
        while ((instance = pool_expire_excess(&s->pool, &s->bounds, s->now_ns)))
                simulation_end(s, instance);
        assert(pool_live_count(&s->pool) == 0 && s->pool.booting_count == 0);
}

void trace_simulate(const struct trace *trace, const struct policy *policy, uint64_t boot_ns,
                    struct tally *tally)
{
        struct simulation s = {
                .trace = trace, .policy = policy, .boot_ns = boot_ns, .tally = tally};
        void (*happens)(struct simulation * s);

        s.runs = allocate(trace->call_count, sizeof(s.runs[0]));
        s.by_end = allocate(trace->call_count, sizeof(s.by_end[0]));
        s.booting_end = &s.booting;
        s.bounds = (struct pool_bounds){.max_instances = SIZE_MAX,
                                        .keep_alive_ns = policy->keep_alive_ns};
        pool_init(&s.pool, 1);
        if (policy->is_learned) {
                keep_alive_init(&s.learned, KEEP_ALIVE_BIN_NS);
                s.pool.learned = &s.learned;
        }
        while ((happens = simulation_next(&s)))
                happens(&s);
        simulation_close(&s);
        free(s.runs);
        free(s.by_end);
}
