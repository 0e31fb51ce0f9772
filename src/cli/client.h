/* One conversation with a node over HTTP, by libcurl.
 *
 * A request that got an answer, whatever its status, is a success of client_send(); what an error
 * status means to a person is told by problem_report() in problem.h.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdint.h>

struct client {
        CURL *curl;
        char *url;           /* of the node, without a slash at the end */
        char *token;         /* NULL: nobody */
        bool token_is_given; /* by MAGPIE_TOKEN */
};

struct request {
        const char *method;
        const char *path;         /* what follows the node's URL; see client_path() */
        const char *content_type; /* NULL where there is no body */
        struct slice body;        /* borrowed; unused when body_fd is one */
        int body_fd;              /* streamed from here, up to its end, when has_body_fd */
        bool has_body_fd;
        /* The answer's body, piece by piece, unless it is a problem of the node's. A negative errno
         * ends the transfer. NULL: it is gathered in the reply. */
        int (*on_data)(void *context, struct slice data);
        const char *remedy; /* what to do about a 401 or 409; NULL: to log in is */
        /* Now and then while bytes move; `sent` of `total` bytes of the body are on their way. */
        void (*on_progress)(void *context, uint64_t sent, uint64_t total);
        void *context;
};

struct reply {
        int status;
        bool is_problem; /* the node's own, in application/problem+json (RFC 9457) */
        struct buffer body;
        char invocation_id[32]; /* Magpie-Invocation-Id, "" where there was none */
        char start[16];         /* Magpie-Start */
        double elapsed_ms;
        bool broke_off;          /* after its head */
        bool is_strangers;       /* a 401 to a request without a token */
        const char *remedy;      /* the request's, or how to log in */
        bool remedy_is_requests; /* ... it is the request's */
};

/* Finds out the node and the token. On failure it has said why; returns a cli_exit. */
int client_open(struct client *client, const struct cli *cli);
void client_close(struct client *client); /* also as AUTO(client_close) */

/* "/api/v1/functions/%s" with `part` escaped. The caller frees. */
char *client_path(const char *format_with_one_text, const char *part);

/* The caller frees *ret_reply with reply_deinit(), after a failure as well. 0; a negative errno
 * where no whole answer came: -ECONNREFUSED nobody listens, -ETIMEDOUT, else -EIO. */
int client_send(struct client *client, const struct request *request, struct reply *ret_reply,
                struct err *err);
void reply_deinit(struct reply *reply); /* also as AUTO(reply_deinit) */

/* client_send(), and the words and exit code for everything but a 2xx answer. CLI_OK or another
 * cli_exit. `function` is the name of the function that was asked for, else NULL. */
int client_ask(struct client *client, const struct request *request, const char *function,
               struct reply *ret_reply);
/* The same, and the answer as JSON. The caller frees *ret_json with json_free(). */
int client_ask_json(struct client *client, const struct request *request, const char *function,
                    cJSON **ret_json);
