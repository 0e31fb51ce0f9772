/* What the files of egress_names.h share. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "wire/resolver_list.h"

#include <netinet/in.h>
#include <sys/stat.h>

#define NAMES_QUERY_MAX 4096 /* bytes of one by datagram */
#define NAMES_ANSWER_MAX 65535
#define NAMES_QUERIES_MAX 1024 /* at once */
#define NAMES_QUERIES_PER_CLIENT 64
#define NAMES_STREAMS_MAX 128
#define NAMES_STREAMS_PER_CLIENT 8
#define NAMES_PATIENCE_MS 2000 /* with one name server, before the next one is asked */
#define NAMES_STREAM_IDLE_MS 10000

struct names_client;

/* One of what there is only so much of: a client's. */
struct names_place {
        struct list link;
        struct names_client *client;
};

/* What all clients have of it. Where there is no more, whoever has most gives his oldest to one who has
 * less: nobody who asks for little is kept out by those who take what they can. */
struct names_share {
        struct list clients;
        size_t count, most, most_per_client;
        void (*end)(struct names_place *place); /* which then leaves */
};

struct names {
        struct loop loop;
        struct loop_source datagrams, streams;    /* what listens */
        struct names_share queries, stream_pairs; /* under way */
        struct resolver_list resolvers;
        size_t current; /* who is asked first: whoever was silent is not */
        uint64_t looked_ns;
        struct stat configuration; /* as the file was when it was read */
        char buffer[NAMES_ANSWER_MAX];
};

/* Reads resolv.conf again where it has changed; looks at most once a second. */
void names_refresh(struct names *names);
/* That one has not answered. */
void names_blame(struct names *names, size_t resolver);

/* A connection of that kind to a name server, begun. A descriptor or a negative errno. */
int names_connect(const struct names *names, size_t resolver, int type);

void names_share_init(struct names_share *share, size_t most, size_t most_per_client,
                      void (*end)(struct names_place *place));
/* False: there is no place for that client. */
bool names_share_enter(struct names_share *share, struct names_place *place, in_addr_t address);
void names_share_leave(struct names_share *share, struct names_place *place);

void names_queries_init(struct names *names);
void names_streams_init(struct names *names);
/* A query by datagram has come. */
void names_query_begin(struct names *names, const char *bytes, size_t length,
                       const struct sockaddr_in *client);
/* Takes the descriptor. */
void names_stream_begin(struct names *names, int fd, const struct sockaddr_in *client);
