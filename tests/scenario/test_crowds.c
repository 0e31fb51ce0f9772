/* Experiments: what the rules bring under load, on virtual time. Crowds call, and what they waited
 * and how many instances were made for them is held against what a good rule brings. The first one
 * is the reason for competitive consumption; the others are those that the rule of demand.c was
 * chosen by. */
#include "story.h"

#include "testing.h"

#include <math.h>

struct load {
        unsigned clients;       /* each calls again when it has its answer, or */
        double rate;            /* calls a second, at random times, or */
        unsigned burst;         /* so many calls at once, and no more */
        uint64_t body_ns;       /* give or take a tenth */
        uint64_t slow_ns;       /* what the slow calls take */
        unsigned slow_permille; /* how many are slow */
        uint64_t boot_ns;
        unsigned homes;      /* 0: one */
        unsigned processors; /* 0: bodies only sleep, and do not hold each other up */
        size_t warm;         /* instances there beforehand, and known how quick they are */
        uint64_t lasts_ns;
        bool without_stealing;
};

struct crowd {
        const struct load *load;
        struct story *s;
        bool over;
        size_t count, capacity;        /* of calls that have ended */
        uint64_t *waited_ns, *took_ns; /* until it ran; until it ended */
        size_t starts[START_KIND_COUNT];
        size_t boots;
};

static void crowd_call(struct crowd *crowd, unsigned home)
{
        const struct load *load = crowd->load;
        uint64_t body_ns = load->body_ns * 9 / 10 + story_chance(crowd->s, load->body_ns / 5 + 1);

        if (load->slow_permille > 0 && story_chance(crowd->s, 1000) < load->slow_permille)
                body_ns = load->slow_ns;
        story_call_with(crowd->s, &crowd->s->functions[0], home, "", body_ns, false);
}

static void crowd_on_end(struct story *s, struct story_call *call)
{
        struct crowd *crowd = s->context;

        if (crowd->count == crowd->capacity) {
                crowd->capacity = crowd->capacity * 2 + 1024;
                crowd->waited_ns = realloc(crowd->waited_ns, crowd->capacity * sizeof(uint64_t));
                crowd->took_ns = realloc(crowd->took_ns, crowd->capacity * sizeof(uint64_t));
                ck_assert(crowd->waited_ns && crowd->took_ns);
        }
        crowd->waited_ns[crowd->count] = call->began_ns - call->arrived_ns;
        crowd->took_ns[crowd->count++] = call->ended_ns - call->arrived_ns;
        crowd->starts[call->pool_call.start]++;
        if (crowd->load->clients > 0 && !crowd->over)
                crowd_call(crowd, call->pool_call.home);
}

/* The instances that are there beforehand have each answered a few calls. */
static void crowd_warm_up(struct story *s, const struct load *load)
{
        struct story_function *function = &s->functions[0];

        function->min_instances = load->warm;
        story_pass(s, load->boot_ns * load->warm + MS);
        for (int i = 0; i < 20 && load->warm > 0; i++) {
                story_call_with(s, function, 0, "", load->body_ns, false);
                ck_assert(story_settle(s, 10 * S));
        }
}

static void crowd_gather(struct crowd *crowd)
{
        const struct load *load = crowd->load;
        struct story *s = crowd->s;
        uint64_t until_ns = s->now_ns + load->lasts_ns;

        for (unsigned i = 0; i < load->clients + load->burst; i++)
                crowd_call(crowd, load->homes > 0 ? i % load->homes : 0);
        while (load->rate > 0 && s->now_ns < until_ns) {
                double chance = ((double)story_chance(s, 1u << 30) + 1) / (double)(1u << 30);
                story_pass(s, (uint64_t)(-log(chance) / load->rate * 1e9));
                crowd_call(crowd, 0);
        }
        if (until_ns > s->now_ns)
                story_pass(s, until_ns - s->now_ns);
        crowd->over = true;
        ck_assert(story_settle(s, 100 * S));
}

static int compare(const void *a, const void *b)
{
        const uint64_t *left = a, *right = b;
        return (*left > *right) - (*left < *right);
}

static void crowd_free(struct crowd *crowd)
{
        free(crowd->waited_ns);
        free(crowd->took_ns);
}

static struct crowd crowd_of(const struct load *load)
{
        struct crowd crowd = {.load = load};
        AUTO(story_free)
        struct story *s = story_new(load->homes > 0 ? load->homes : 1, 2, UINT64_MAX);
        struct story_function *function = story_add_function(s);

        crowd.s = s;
        function->boot_ns = load->boot_ns;
        function->pool.stealing = !load->without_stealing;
        function->pool.processors = load->processors > 0 ? load->processors : 2;
        s->processors = load->processors;
        s->quiet = s->unchecked = true;
        crowd_warm_up(s, load);
        s->on_end = crowd_on_end;
        s->context = &crowd;
        crowd.boots = function->boots;
        crowd_gather(&crowd);
        crowd.boots = function->boots - crowd.boots;
        qsort(crowd.waited_ns, crowd.count, sizeof(uint64_t), compare);
        qsort(crowd.took_ns, crowd.count, sizeof(uint64_t), compare);
        crowd.s = NULL;
        return crowd;
}

static uint64_t percentile(const uint64_t *sorted, size_t count, unsigned percent)
{
        return sorted[(count - 1) * percent / 100];
}

/* At most so many boots, and so many microseconds from call to answer for that share of the calls. */
#define EXPECT_BOOTS(crowd, least, most)                                                           \
        do {                                                                                       \
                ck_assert_uint_ge((crowd)->boots, least);                                          \
                ck_assert_uint_le((crowd)->boots, most);                                           \
        } while (0)
#define EXPECT_TOOK(crowd, percent, most_ns)                                                       \
        ck_assert_uint_le(percentile((crowd)->took_ns, (crowd)->count, percent), most_ns)

TEST(half_of_five_hundred_calls_at_once_are_stolen_and_wait_half_as_long)
{
        struct load load = {.burst = 500, .body_ns = 20 * MS, .boot_ns = 12 * MS};
        AUTO(crowd_free) struct crowd with = crowd_of(&load);
        load.without_stealing = true;
        AUTO(crowd_free) struct crowd without = crowd_of(&load);

        ck_assert_uint_eq(with.count, 500);
        ck_assert_uint_eq(without.count, 500);
        ck_assert_uint_eq(without.starts[START_COLD], 500);
        ck_assert_uint_ge(with.starts[START_STOLEN], 250);
        ck_assert_uint_le(2 * percentile(with.waited_ns, 500, 50),
                          percentile(without.waited_ns, 500, 50));
        ck_assert_uint_lt(with.boots, without.boots / 4);
}
TEST_END

TEST(sixty_four_clients_of_a_quick_function_need_no_second_instance)
{
        struct load load = {.clients = 64,
                            .body_ns = 10 * US,
                            .boot_ns = 12 * MS,
                            .warm = 1,
                            .processors = 1,
                            .lasts_ns = 200 * MS};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 0, 0);
        EXPECT_TOOK(&crowd, 99, 1 * MS);
}
TEST_END

TEST(a_thousand_clients_of_a_quick_function_get_as_many_instances_as_there_are_processors)
{
        struct load load = {.clients = 1000,
                            .body_ns = 10 * US,
                            .boot_ns = 400 * US,
                            .homes = 4,
                            .processors = 4,
                            .warm = 1,
                            .lasts_ns = 100 * MS};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 3, 3);
        EXPECT_TOOK(&crowd, 99, 5 * MS);
}
TEST_END

TEST(calls_that_are_held_up_now_and_then_do_not_make_a_quick_function_grow)
{
        struct load load = {.clients = 1000,
                            .body_ns = 40 * US,
                            .slow_ns = 5 * MS,
                            .slow_permille = 1,
                            .boot_ns = 2 * MS,
                            .processors = 2,
                            .warm = 1,
                            .lasts_ns = 500 * MS};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 1, 6);
        EXPECT_TOOK(&crowd, 99, 40 * MS);
}
TEST_END

TEST(the_first_calls_of_a_quick_function_boot_no_more_than_may_be_under_way)
{
        struct load load = {.burst = 64, .body_ns = 10 * US, .boot_ns = 12 * MS};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 2, 4);
        EXPECT_TOOK(&crowd, 100, 13 * MS);
}
TEST_END

TEST(a_burst_that_is_over_before_a_boot_would_be_makes_none)
{
        struct load load = {.burst = 10, .body_ns = 1 * MS, .boot_ns = 12 * MS, .warm = 1};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 0, 0);
        EXPECT_TOOK(&crowd, 100, 11 * MS);
}
TEST_END

TEST(a_burst_of_slow_calls_is_met_with_boots_until_what_returns_is_enough)
{
        struct load load = {.burst = 100, .body_ns = 20 * MS, .boot_ns = 12 * MS, .warm = 10};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 12, 18);
        EXPECT_TOOK(&crowd, 100, 125 * MS);
}
TEST_END

TEST(clients_that_keep_calling_get_an_instance_each_though_each_line_is_short)
{
        struct load load = {
                .clients = 10, .body_ns = 1 * MS, .boot_ns = 12 * MS, .warm = 1, .lasts_ns = 1 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 9, 9);
        EXPECT_TOOK(&crowd, 50, 1100 * US);
}
TEST_END

TEST(slow_boots_do_not_keep_a_steady_crowd_from_its_instances)
{
        struct load load = {
                .clients = 8, .body_ns = 5 * MS, .boot_ns = 40 * MS, .warm = 1, .lasts_ns = 2 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 7, 7);
        EXPECT_TOOK(&crowd, 50, 5500 * US);
}
TEST_END

TEST(a_rate_that_few_instances_can_serve_gets_few)
{
        struct load load = {
                .rate = 1200, .body_ns = 1 * MS, .boot_ns = 12 * MS, .warm = 1, .lasts_ns = 2 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 2, 6);
        EXPECT_TOOK(&crowd, 99, 15 * MS);
}
TEST_END

TEST(quick_calls_get_past_slow_ones_of_the_same_function)
{
        struct load load = {.rate = 500,
                            .body_ns = 50 * US,
                            .slow_ns = 1 * S,
                            .slow_permille = 10,
                            .boot_ns = 12 * MS,
                            .warm = 1,
                            .lasts_ns = 3 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 4, 14);
        EXPECT_TOOK(&crowd, 95, 5 * MS);
}
TEST_END

TEST(clients_of_whom_some_call_slowly_have_an_instance_each_in_the_end)
{
        struct load load = {.clients = 64,
                            .body_ns = 100 * US,
                            .slow_ns = 100 * MS,
                            .slow_permille = 50,
                            .boot_ns = 12 * MS,
                            .lasts_ns = 2 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 50, 70);
        EXPECT_TOOK(&crowd, 50, 1 * MS);
}
TEST_END

TEST(idle_processors_are_used_although_calls_could_be_put_ahead)
{
        struct load load = {.clients = 16,
                            .body_ns = 200 * US,
                            .boot_ns = 12 * MS,
                            .warm = 1,
                            .processors = 16,
                            .lasts_ns = 1 * S};
        AUTO(crowd_free) struct crowd crowd = crowd_of(&load);

        EXPECT_BOOTS(&crowd, 8, 15);
        EXPECT_TOOK(&crowd, 50, 400 * US);
}
TEST_END

TEST_MAIN("crowds", half_of_five_hundred_calls_at_once_are_stolen_and_wait_half_as_long,
          sixty_four_clients_of_a_quick_function_need_no_second_instance,
          a_thousand_clients_of_a_quick_function_get_as_many_instances_as_there_are_processors,
          calls_that_are_held_up_now_and_then_do_not_make_a_quick_function_grow,
          the_first_calls_of_a_quick_function_boot_no_more_than_may_be_under_way,
          a_burst_that_is_over_before_a_boot_would_be_makes_none,
          a_burst_of_slow_calls_is_met_with_boots_until_what_returns_is_enough,
          clients_that_keep_calling_get_an_instance_each_though_each_line_is_short,
          slow_boots_do_not_keep_a_steady_crowd_from_its_instances,
          a_rate_that_few_instances_can_serve_gets_few,
          quick_calls_get_past_slow_ones_of_the_same_function,
          clients_of_whom_some_call_slowly_have_an_instance_each_in_the_end,
          idle_processors_are_used_although_calls_could_be_put_ahead)
