/* What engine.c, client.c, link.c and transport.c know of one another. */
#pragma once

#include "base/clock.h"
#include "base/wheel.h"
#include "lab/engine.h"
#include "lab/reading.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#define ENGINE_INPUT_SIZE 65536

enum link_state {
        LINK_CLOSED,
        LINK_CONNECTING,
        LINK_HANDSHAKE,
        LINK_IDLE, /* open, and nothing is asked */
        LINK_BUSY, /* a request is being sent or its answer awaited */
};

/* A client's connection to one origin. */
struct link {
        int fd;
        uint32_t generation; /* of the descriptor: an event of an older one is not for this one */
        enum link_state state;
        uint32_t events; /* what epoll watches for */
        struct client *client;
        const struct origin *origin;
        SSL *tls;
        uint64_t connecting_ns; /* since when */
        size_t sent;            /* bytes of the request */
        struct reading reading;
};

enum client_state {
        CLIENT_PARKED,   /* takes no part now */
        CLIENT_THINKING, /* or waits after a connection that could not be made */
        CLIENT_BUSY,
};

struct client {
        struct engine *engine;
        enum client_state state;
        struct timer timer;
        uint64_t due_ns; /* when to think no longer, or to wait no longer; 0: never */
        const struct target *target;
        bool is_served; /* it has a good answer of this stage, or thinks about one since before */
        struct link *link; /* the one in use while busy */
        uint64_t begun_ns; /* the latency counts from here */
        uint64_t last_ns;  /* the latest that the whole may take; UINT64_MAX: no bound */
};

struct engine {
        const struct load *load;
        unsigned index;
        pthread_t thread;
        atomic_bool is_stopped;
        int epoll_fd, schedule_fd;
        uint64_t start_ns, now_ns; /* CLOCK_MONOTONIC; now: when this turn began, or later */
        uint64_t level_check_ns;
        uint64_t cpu_ns, waiting_ns; /* of this thread up to the last report */
        bool is_ending;              /* nothing new is begun */
        bool starts_are_left;        /* of this turn, for the next one */
        struct wheel wheel;
        struct random random;
        struct arrivals arrivals;

        size_t client_count;
        struct client *clients;
        struct link *links; /* origin_count for each client */
        size_t level;       /* closed loop: the first so many clients take part */
        size_t begun;       /* of which so many have been told */
        size_t busy_count, open_count, free_count;
        struct client **free_clients; /* open loop: a stack, so that warm links are used first */
        uint64_t requests_left;

        uint64_t *waiting; /* open loop: a ring of intended starts without a client */
        size_t waiting_capacity, waiting_first, waiting_count;

        struct spill_pool spills;
        struct engine_report *report; /* of the current moment */
        pthread_mutex_t lock;         /* for the lists below */
        struct list full, empty;
        char input[ENGINE_INPUT_SIZE];
};

static inline struct tally *engine_tally(struct engine *engine)
{
        return &engine->report->tally;
}

static inline struct link *client_links(struct client *client)
{
        struct engine *engine = client->engine;

        return engine->links + (size_t)(client - engine->clients) * engine->load->origin_count;
}

/* --- client.c --- */

void client_init(struct client *client, struct engine *engine);
/* Chooses a request and sends it, or connects first. `intended_ns`: since when it is due. */
void client_begin(struct client *client, uint64_t intended_ns);
/* An answer came, whole, with this status. The link is idle or closed by now. */
void client_answered(struct client *client, int status);
void client_failed(struct client *client, enum failure failure);
/* Waits for its answer until then, at most. */
void client_wait_until(struct client *client, uint64_t at_ns);
/* Closed loop: takes part again, or no longer (at once where it is not busy). */
void client_join(struct client *client);
void client_leave(struct client *client);
/* A request of an open loop that nobody could send in time; it is one of those that were to be made. */
void engine_count_late(struct engine *engine);

/* --- link.c --- */

void link_init(struct link *link, struct client *client, const struct origin *origin);
/* Sends the client's request, connecting first where that is needed. */
void link_ask(struct link *link);
void link_on_event(struct link *link, uint32_t events);
void link_close(struct link *link);

/* --- transport.c: bytes over TCP or TLS --- */

/* Begins a connection to the link's origin: 0, or a negative errno. */
int transport_connect(struct link *link);
/* The TCP connection is there; TLS begins. 0: done, -EAGAIN: *ret_events says what to wait for,
 * -EPROTO: it failed. */
int transport_handshake(struct link *link, const struct load *load, uint32_t *ret_events);
/* Bytes, 0 at the end (receive), -EAGAIN, -EPROTO (TLS), or a negative errno. */
ssize_t transport_send(struct link *link, const char *data, size_t length);
ssize_t transport_receive(struct link *link, char *data, size_t size);
void transport_close(struct link *link);
