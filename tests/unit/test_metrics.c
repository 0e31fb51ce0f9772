/* The text for Prometheus says what was counted, and nothing goes back. */
#include "base/auto.h"
#include "gateway/exposition.h"
#include "gateway/gateway.h"

#include "testing.h"

#include <stdio.h>

static struct buffer text;
static struct exposition exposition;

static void begin(void)
{
        buffer_init(&text, 1u << 20);
        exposition = (struct exposition){.text = &text};
}

static void expect_text(const char *expected)
{
        ck_assert_int_eq(exposition.result, 0);
        (void)buffer_append(&text, "", 1);
        ck_assert_str_eq(text.data, expected);
        buffer_deinit(&text);
}

TEST(samples_have_escaped_labels_and_exact_numbers)
{
        const struct exposition_label labels[] = {
                {"function", "a\\b\"c\nd"}, {"start", "warm"}, {0}};

        begin();
        exposition_family(&exposition, "x_total", "counter", "All of them.");
        exposition_sample(&exposition, "x_total", labels, 9007199254740991.0 - 1e15);
        exposition_sample(&exposition, "x_total", NULL, 0);
        exposition_sample(&exposition, "x_total", NULL, 0.0015);
        expect_text("# HELP x_total All of them.\n"
                    "# TYPE x_total counter\n"
                    "x_total{function=\"a\\\\b\\\"c\\nd\",start=\"warm\"} 8007199254740991\n"
                    "x_total 0\n"
                    "x_total 0.0015\n");
}
TEST_END

TEST(a_histogram_adds_its_buckets_up)
{
        static const uint32_t bounds_us[] = {50, 2500000};
        const uint64_t buckets[] = {1, 2, 3}, none[] = {0, 0, 0};
        const struct exposition_label labels[] = {{"function", "f"}, {0}};

        begin();
        exposition_histogram(&exposition, "t_seconds", labels, bounds_us, none, 3, 0);
        exposition_histogram(&exposition, "t_seconds", labels, bounds_us, buckets, 3, 12500000);
        expect_text("t_seconds_bucket{function=\"f\",le=\"5e-05\"} 1\n"
                    "t_seconds_bucket{function=\"f\",le=\"2.5\"} 3\n"
                    "t_seconds_bucket{function=\"f\",le=\"+Inf\"} 6\n"
                    "t_seconds_sum{function=\"f\"} 12.5\n"
                    "t_seconds_count{function=\"f\"} 6\n");
}
TEST_END

TEST(running_out_of_room_shows_at_the_end)
{
        buffer_init(&text, 40);
        exposition = (struct exposition){.text = &text};
        for (int i = 0; i < 10; i++)
                exposition_sample(&exposition, "magpie_connections", NULL, 1);
        ck_assert_int_lt(exposition.result, 0);
        ck_assert_uint_le(text.length, 40);
        buffer_deinit(&text);
}
TEST_END

/* A gateway of which only that is made which the figures come from. */
static struct gateway gateway;
static struct gateway_thread threads[2];

static void open_gateway(struct function *function)
{
        struct user *user = user_new();
        struct catalog_change changes[] = {{.kind = CATALOG_USER_PUT, .user = user},
                                           {.kind = CATALOG_FUNCTION_PUT, .function = function}};
        struct catalog *empty = catalog_new_empty(1);

        gateway = (struct gateway){.config = {.thread_count = 2}, .threads = threads};
        pthread_mutex_init(&gateway.lives_lock, NULL);
        list_init(&gateway.lives);
        metrics_init(&gateway.metrics);
        (void)strcpy(user->id, "01M7XZRQJCJAAQ2H1DCYJYHPSV");
        (void)strcpy(user->email, "jo@example.org");
        (void)strcpy(user->name_space, "jo");
        (void)strcpy(function->id, "01M7XZRQKQQEHG4GB12EF0SH6B");
        (void)strcpy(function->owner_id, user->id);
        (void)strcpy(function->owner_name_space, "jo");
        (void)strcpy(function->name, "echo");
        atomic_store(&gateway.catalog, catalog_with(empty, changes, 2));
        catalog_free(empty);
        user_unref(user);
}

static void close_gateway(void)
{
        catalog_free(atomic_load(&gateway.catalog));
        metrics_deinit(&gateway.metrics);
}

static bool metrics_have(const char *line)
{
        AUTO(buffer_deinit) struct buffer all;

        buffer_init(&all, 1u << 20);
        ck_assert_int_eq(metrics_write(&gateway, 7, &all), 0);
        (void)buffer_append(&all, "", 1);
        return strstr(all.data, line);
}

static struct live *add_live(struct function *function)
{
        struct live *live = live_new_for_trial(&gateway, function);
        list_push_back(&gateway.lives, &live->link);
        return live;
}

#define COUNTED "magpie_invocations_total{function=\"jo/echo\",start=\"%s\",outcome=\"%s\"} %d\n"

static void expect_counted(const char *start, const char *outcome, int count)
{
        char line[160];
        (void)snprintf(line, sizeof(line), COUNTED, start, outcome, count);
        ck_assert_msg(metrics_have(line), "%s", line);
}

TEST(threads_and_versions_of_one_function_add_up_to_one_sample)
{
        struct function *function = function_new();
        struct live *old, *new;

        open_gateway(function);
        old = add_live(function);
        new = add_live(function);
        live_count(old, 0, START_WARM, OUTCOME_SUCCEEDED, 1000000);
        live_count(old, 1, START_WARM, OUTCOME_SUCCEEDED, 1000000);
        live_count(new, 1, START_WARM, OUTCOME_SUCCEEDED, 3000000000);
        live_count(new, 1, START_COLD, OUTCOME_FUNCTION_TIMEOUT, 1000000);
        live_count_shed(old, 0);
        live_count_shed(new, 1);
        atomic_store(&old->ahead_count, 2);
        atomic_store(&new->ahead_count, 3);
        expect_counted("warm", "succeeded", 3);
        expect_counted("cold", "function.timeout", 1);
        ck_assert(
                metrics_have("magpie_invocation_duration_seconds_count{function=\"jo/echo\"} 4\n"));
        ck_assert(metrics_have(
                "magpie_invocation_duration_seconds_sum{function=\"jo/echo\"} 3.003\n"));
        ck_assert(metrics_have("magpie_instances{function=\"jo/echo\",state=\"idle\"} 0\n"));
        ck_assert(metrics_have("magpie_prewarmed_instances_total{function=\"jo/echo\"} 5\n"));
        ck_assert(metrics_have("magpie_shed_total{function=\"jo/echo\"} 2\n"));
        ck_assert(metrics_have("magpie_waiters{function=\"jo/echo\"} 0\n"));
        ck_assert(metrics_have("process_open_fds 7\n"));
        live_free(old);
        live_free(new);
        close_gateway();
        function_unref(function);
}
TEST_END

TEST(what_an_old_version_counted_is_kept_while_its_function_exists)
{
        struct function *function = function_new();
        struct live *live;

        open_gateway(function);
        for (int version = 1; version <= 2; version++) {
                live = add_live(function);
                live_count(live, 0, START_WARM, OUTCOME_SUCCEEDED, 1000000);
                expect_counted("warm", "succeeded", version);
                list_remove(&live->link);
                metrics_keep(&gateway.metrics, live);
                live_free(live);
                expect_counted("warm", "succeeded", version);
        }
        catalog_free(atomic_exchange(&gateway.catalog, catalog_new_empty(1)));
        ck_assert(!metrics_have("jo/echo"));
        ck_assert(list_is_empty(&gateway.metrics.past));
        close_gateway();
        function_unref(function);
}
TEST_END

TEST(cold_starts_are_told_apart_by_runtime_origin_and_phase)
{
        struct function *function = function_new();
        struct cold_start start = {.origin = SANDBOX_FROM_STOCK,
                                   .phase_us = {[COLD_START_LOAD] = 20000}};

        open_gateway(function);
        metrics_cold_start(&gateway.metrics, RUNTIME_NODE, &start);
        start.phase_us[COLD_START_LOAD] = 1;
        metrics_cold_start(&gateway.metrics, RUNTIME_NODE, &start);
        metrics_cold_start_phase(&gateway.metrics, RUNTIME_NODE, COLD_START_FIRST_BYTE, 30000);
        ck_assert(metrics_have(
                "magpie_cold_start_seconds_count{runtime=\"node\",phase=\"load\"} 2\n"));
        ck_assert(metrics_have("magpie_cold_start_seconds_bucket{runtime=\"node\",phase=\"load\","
                               "le=\"5e-05\"} 1\n"));
        ck_assert(metrics_have("magpie_cold_start_seconds_sum{runtime=\"node\","
                               "phase=\"first_byte\"} 0.03\n"));
        ck_assert(metrics_have("magpie_cold_starts_total{runtime=\"node\",from=\"sandbox\"} 2\n"));
        /* What has not taken place is not there. */
        ck_assert(!metrics_have("phase=\"import\""));
        ck_assert(!metrics_have("from=\"request\""));
        ck_assert(!metrics_have("runtime=\"python3\""));
        close_gateway();
        function_unref(function);
}
TEST_END

TEST(what_waits_in_stock_is_shown_as_it_was_told_last)
{
        struct function *function = function_new();

        open_gateway(function);
        metrics_stock(&gateway.metrics, &(struct sandbox_stock){.bare = 9, .python3 = 9});
        metrics_stock(&gateway.metrics,
                      &(struct sandbox_stock){.bare = 2, .python3 = 3, .node = 4});
        ck_assert(metrics_have("magpie_stock_sandboxes{interpreter=\"none\"} 2\n"
                               "magpie_stock_sandboxes{interpreter=\"python3\"} 3\n"
                               "magpie_stock_sandboxes{interpreter=\"node\"} 4\n"));
        close_gateway();
        function_unref(function);
}
TEST_END

TEST_MAIN("metrics", samples_have_escaped_labels_and_exact_numbers, a_histogram_adds_its_buckets_up,
          running_out_of_room_shows_at_the_end,
          threads_and_versions_of_one_function_add_up_to_one_sample,
          what_an_old_version_counted_is_kept_while_its_function_exists,
          cold_starts_are_told_apart_by_runtime_origin_and_phase,
          what_waits_in_stock_is_shown_as_it_was_told_last)
