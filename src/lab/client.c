/* Somebody who asks; see engine_parts.h. */
#include "lab/engine_parts.h"

/* After a connection that could not be made: as long as it takes to try again, not to spin. */
#define RETRY_CONNECT_NS (50 * NS_PER_MS)
#define RETRY_NS NS_PER_MS

/* Sets `due_ns`. A timer that fires too early looks and sleeps on, so that it need not be moved for
 * every request; one that would fire too late moves. */
static void client_set_due(struct client *client, uint64_t due_ns)
{
        uint64_t due_ms = (due_ns + NS_PER_MS - 1) / NS_PER_MS;

        client->due_ns = due_ns;
        if (!timer_is_set(&client->timer) || client->timer.due_ms > due_ms)
                wheel_set(&client->engine->wheel, &client->timer, due_ms);
}

void client_wait_until(struct client *client, uint64_t at_ns)
{
        client_set_due(client, at_ns < client->last_ns ? at_ns : client->last_ns);
}

static bool client_takes_part(const struct client *client)
{
        const struct engine *engine = client->engine;

        return !engine->is_ending && (size_t)(client - engine->clients) < engine->level;
}

/* Takes no part any more; whoever leaves closes his connections. */
static void client_park(struct client *client)
{
        struct link *links = client_links(client);

        client->state = CLIENT_PARKED;
        wheel_remove(&client->engine->wheel, &client->timer);
        for (size_t i = 0; i < client->engine->load->origin_count; i++)
                link_close(&links[i]);
}

static void client_rest(struct client *client, uint64_t rest_ns)
{
        client->state = CLIENT_THINKING;
        client_set_due(client, client->engine->now_ns + rest_ns);
}

/* The request is over; what now? */
static void client_go_on(struct client *client, uint64_t rest_ns)
{
        struct engine *engine = client->engine;

        client->due_ns = 0;
        client->link = NULL;
        engine->busy_count--;
        if (engine->load->plan->kind == PLAN_RATE) {
                client->state = CLIENT_PARKED;
                engine->free_clients[engine->free_count++] = client;
        } else if (!client_takes_part(client)) {
                client_park(client);
        } else if (rest_ns > 0) {
                client_rest(client, rest_ns);
        } else {
                client_begin(client, engine->now_ns);
        }
}

void client_answered(struct client *client, int status)
{
        struct engine *engine = client->engine;
        struct tally *tally = engine_tally(engine);
        uint64_t took_ns;

        engine->now_ns = clock_now_ns();
        took_ns = engine->now_ns > client->begun_ns ? engine->now_ns - client->begun_ns : 0;
        tally->statuses[status]++;
        if (status >= 200 && status <= 299) {
                tally->good++;
                client->is_served = true;
                histogram_record(&tally->latency, took_ns, 1);
        } else {
                tally->failures[FAILURE_STATUS]++;
                histogram_record(&tally->rejection, took_ns, 1);
        }
        client_go_on(client, engine->load->think_ns);
}

void client_failed(struct client *client, enum failure failure)
{
        struct engine *engine = client->engine;
        bool was_refused = failure == FAILURE_REFUSED || failure == FAILURE_LOCAL ||
                           failure == FAILURE_TLS || failure == FAILURE_CONNECT_TIMEOUT;

        engine_tally(engine)->failures[failure]++;
        client_go_on(client, was_refused ? RETRY_CONNECT_NS : RETRY_NS);
}

void engine_count_late(struct engine *engine)
{
        engine->requests_left--;
        engine_tally(engine)->failures[FAILURE_TIMEOUT]++;
}

static const struct target *choose_target(struct engine *engine)
{
        const struct load *load = engine->load;
        size_t i = 0;
        double chance;

        if (load->target_count == 1)
                return &load->targets[0];
        chance = random_unit(&engine->random);
        while (i + 1 < load->target_count && chance > load->targets[i].weight_until)
                i++;
        return &load->targets[i];
}

void client_begin(struct client *client, uint64_t intended_ns)
{
        struct engine *engine = client->engine;
        uint64_t total_ns = engine->load->total_timeout_ns;

        if (engine->requests_left == 0) {
                engine->is_ending = true;
                client_park(client);
                return;
        }
        engine->requests_left--;
        engine->busy_count++;
        client->state = CLIENT_BUSY;
        client->begun_ns = intended_ns;
        client->last_ns = total_ns > 0 ? intended_ns + total_ns : UINT64_MAX;
        client->target = choose_target(engine);
        client->link = client_links(client) + client->target->origin;
        link_ask(client->link);
}

/* Too late: for its connection, or for its answer. */
static void client_time_out(struct client *client)
{
        struct link *link = client->link;
        bool is_connected = link->state == LINK_BUSY;

        if (!is_connected)
                engine_tally(client->engine)->connect_failures++;
        link_close(link);
        client_failed(client, is_connected ? FAILURE_TIMEOUT : FAILURE_CONNECT_TIMEOUT);
}

static void client_on_due(struct timer *timer)
{
        struct client *client = CONTAINER_OF(timer, struct client, timer);
        struct engine *engine = client->engine;

        if (client->due_ns == 0)
                return;
        if (client->due_ns > engine->now_ns) {
                client_set_due(client, client->due_ns);
                return;
        }
        switch (client->state) {
        case CLIENT_PARKED:
                return;
        case CLIENT_THINKING:
                if (!client_takes_part(client)) {
                        client_park(client);
                        return;
                }
                engine->now_ns = clock_now_ns();
                client_begin(client, engine->now_ns);
                return;
        case CLIENT_BUSY:
                client_time_out(client);
                return;
        }
}

void client_init(struct client *client, struct engine *engine)
{
        *client = (struct client){.engine = engine};
        timer_init(&client->timer, client_on_due);
}

void client_join(struct client *client)
{
        if (client->state != CLIENT_PARKED)
                return; /* it had not left yet */
        client->engine->now_ns = clock_now_ns();
        client_begin(client, client->engine->now_ns);
}

void client_leave(struct client *client)
{
        if (client->state == CLIENT_THINKING)
                client_park(client);
}
