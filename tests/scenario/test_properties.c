/* Thousands of random stories; the rules of story_check.c hold after every step of each, and every
 * call ends. STORY_SEED=N tells the story of one seed aloud. */
#include "story.h"

#include "testing.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 2000
#define ACTIONS 150

struct plot {
        struct story *s;
        unsigned home_count;
        unsigned call_count;
        size_t begun, ended;
        bool deaths;   /* instances die and boots fail */
        unsigned slow; /* percentage of calls that take long */
};

static uint64_t chance(struct plot *plot, uint64_t below)
{
        return story_chance(plot->s, below);
}

static bool happens(struct plot *plot, unsigned percent)
{
        return chance(plot, 100) < percent;
}

static void count_end(struct story *s, struct story_call *call)
{
        struct plot *plot = s->context;
        (void)call;
        plot->ended++;
}

static void set_function(struct plot *plot)
{
        struct story_function *function = story_add_function(plot->s);
        struct pool *pool = &function->pool;

        function->memory_bytes = (1 + chance(plot, 4)) * 64 * MIB;
        function->max_instances = 1 + chance(plot, happens(plot, 50) ? 3 : 30);
        /* Never so many that minima alone fill the memory: others would rightly wait for ever. */
        function->min_instances =
                happens(plot, 20) ? 1 + chance(plot, function->max_instances) % 2 : 0;
        function->boot_ns = (1 + chance(plot, 30000)) * US;
        function->body_ns = (1 + chance(plot, happens(plot, 50) ? 200 : 5000)) * US;
        function->grace_ns = chance(plot, 100) * MS;
        function->keep_alive_ns = chance(plot, 500) * MS;
        pool->stealing = !happens(plot, 10);
        pool->processors = 1 + (unsigned)chance(plot, 4);
        pool->never_ahead = happens(plot, 10);
        if (happens(plot, 10)) {
                pool->single_use = true;
                function->keep_alive_ns = 0;
        } else if (happens(plot, 30)) {
                story_learn(function, (1 + chance(plot, 40)) * MS);
        }
        if (happens(plot, 30)) {
                pool->patience.target_ns = (1 + chance(plot, 20)) * MS;
                function->wait_max_ns = (1 + chance(plot, 500)) * MS;
        }
        if (!pool->single_use)
                pool->capacity = 1 + (unsigned)chance(plot, 4);
}

static void set_scene(struct plot *plot, uint64_t seed, bool loud)
{
        struct story scratch = {.chance = seed * 0x9e3779b97f4a7c15ull};
        uint64_t budget_bytes = 2048 * MIB;

        plot->home_count = 1 + (unsigned)story_chance(&scratch, 4);
        plot->s = story_new(plot->home_count, 1 + story_chance(&scratch, 4), budget_bytes);
        plot->s->chance = scratch.chance;
        plot->s->quiet = !loud;
        plot->s->lag_max_ns = happens(plot, 50) ? 100 * US : 0;
        plot->s->processors = happens(plot, 30) ? 2 : 0;
        plot->s->on_end = count_end;
        plot->s->context = plot;
        plot->deaths = happens(plot, 50);
        plot->slow = happens(plot, 50) ? (unsigned)chance(plot, 30) : 0;
        for (uint64_t i = 1 + chance(plot, 3); i > 0; i--)
                set_function(plot);
}

static void call_somebody(struct plot *plot)
{
        struct story_function *function =
                &plot->s->functions[chance(plot, plot->s->function_count)];
        uint64_t body_ns = happens(plot, plot->slow) ? function->body_ns * 50 : function->body_ns;
        char name[16];

        (void)snprintf(name, sizeof(name), "c%u", ++plot->call_count);
        plot->begun++;
        (void)story_call_with(plot->s, function, (unsigned)chance(plot, plot->home_count), name,
                              body_ns / 2 + chance(plot, body_ns), happens(plot, 5));
}

/* NULL where there is none. */
static struct story_instance *some_instance(struct plot *plot)
{
        struct story_instance *instance;
        uint64_t count = 0;

        LIST_FOR_EACH (instance, &plot->s->instances, link)
                count++;
        count = count > 0 ? chance(plot, count) : 0;
        LIST_FOR_EACH (instance, &plot->s->instances, link)
                if (count-- == 0)
                        return instance;
        return NULL;
}

static void kill_somebody(struct plot *plot)
{
        struct story_instance *instance = some_instance(plot);

        if (instance)
                story_kill(plot->s, instance);
}

static void starve_somebody(struct plot *plot)
{
        struct story_instance *instance = some_instance(plot);

        if (instance && instance->function->pool.capacity == 1 &&
            instance->pool_instance.state == INSTANCE_BUSY &&
            instance->pool_instance.assigned_count > 1)
                story_starve_instance(plot->s, instance);
}

/* One of several calls ends without an answer. */
static void drop_somebody(struct plot *plot)
{
        struct story_instance *instance = some_instance(plot);
        struct list *link = instance ? list_peek_front(&instance->pool_instance.assigned) : NULL;
        const char *name;

        if (!link || instance->function->pool.capacity == 1)
                return;
        name = CONTAINER_OF(CONTAINER_OF(link, struct pool_call, link), struct story_call,
                            pool_call)
                       ->name;
        if (happens(plot, 50))
                story_time_out(plot->s, name);
        else
                story_break_off(plot->s, name);
}

static void give_somebody_up(struct plot *plot)
{
        struct list *link = list_peek_back(&plot->s->calls);
        if (link)
                story_give_up(plot->s, CONTAINER_OF(link, struct story_call, link)->name);
}

static void act(struct plot *plot)
{
        uint64_t action = chance(plot, 100);

        if (action < 50)
                call_somebody(plot);
        else if (action < 60)
                for (uint64_t i = chance(plot, 60); i > 0; i--)
                        call_somebody(plot);
        else if (action < 80)
                story_pass(plot->s, chance(plot, 2 * MS));
        else if (action < 88)
                story_pass(plot->s, chance(plot, 100 * MS));
        else if (action < 90)
                drop_somebody(plot);
        else if (action < 93)
                give_somebody_up(plot);
        else if (action < 95)
                starve_somebody(plot);
        else if (action < 98 && plot->deaths)
                kill_somebody(plot);
        else if (action == 98 && plot->deaths)
                plot->s->functions[0].failing_boots = (unsigned)chance(plot, 3);
        else if (action == 99 && happens(plot, 10))
                story_drain(plot->s, &plot->s->functions[0]);
}

/* NULL, or what went wrong. */
static const char *tell(uint64_t seed, bool loud)
{
        static char fault[200];
        struct plot plot = {0};
        const char *result = NULL;

        set_scene(&plot, seed, loud);
        for (int i = 0; i < ACTIONS && !plot.s->fault; i++)
                act(&plot);
        if (!plot.s->fault && !story_settle(plot.s, 600 * S))
                result = "calls wait for ever";
        else if (!plot.s->fault && plot.ended != plot.begun)
                result = "calls ended twice or never";
        if (plot.s->fault) {
                (void)snprintf(fault, sizeof(fault), "%s", plot.s->fault);
                result = fault;
        }
        if (loud && plot.s->log.length > 0)
                (void)fputs(story_log(plot.s), stderr);
        story_free(&plot.s);
        return result;
}

TEST(the_rules_hold_after_every_step_of_any_story_and_every_call_ends)
{
        const char *wish = getenv("STORY_SEED");
        uint64_t seed = wish ? strtoull(wish, NULL, 10) : 1, last = wish ? seed : ROUNDS;

        for (; seed <= last; seed++) {
                const char *fault = tell(seed, wish != NULL);
                ck_assert_msg(!fault, "STORY_SEED=%llu: %s", (unsigned long long)seed, fault);
        }
}
TEST_END

TEST_MAIN("properties", the_rules_hold_after_every_step_of_any_story_and_every_call_ends)
