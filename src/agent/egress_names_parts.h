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

struct names {
        struct loop loop;
        struct loop_source datagrams, streams; /* what listens */
        struct list queries, stream_pairs;     /* under way */
        size_t query_count, stream_count;
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

/* A query by datagram has come. */
void names_query_begin(struct names *names, const char *bytes, size_t length,
                       const struct sockaddr_in *client);
/* Takes the descriptor. */
void names_stream_begin(struct names *names, int fd, const struct sockaddr_in *client);
