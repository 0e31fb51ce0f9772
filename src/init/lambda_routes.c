/* What the requests of the Runtime API mean; see lambda_client.h. */
#include "init/lambda_client.h"

#include "wire/base64.h"
#include "wire/http_bytes.h"
#include "wire/lambda_answer.h"

#include <stdlib.h>

#define PRELUDE_TYPE SLICE("application/vnd.awslambda.http-integration-response")
#define PRELUDE_END_LENGTH 8 /* NULs */

static const char accepted[] = "{\"status\":\"OK\"}\n";

static struct slice header(const struct http_request *request, struct slice name)
{
        const struct http_header *found = http_request_find(request, name);

        return found ? found->value : SLICE("");
}

static void keep_type(struct lambda_client *client, struct slice type)
{
        size_t length = type.length < sizeof(client->type) ? type.length : sizeof(client->type) - 1;

        memcpy(client->type, type.data, length);
        client->type[length] = '\0';
}

static void collect(struct lambda_client *client, enum client_purpose purpose, size_t limit)
{
        client->purpose = purpose;
        client->sink = SINK_COLLECT;
        client->body.length = 0;
        client->body.limit = limit;
}

/* --- requests -------------------------------------------------------------------------------- */

static void route_next(struct lambda_client *client, const struct http_request *request)
{
        struct lambda *lambda = client->lambda;

        if (request->method != HTTP_METHOD_GET) {
                lambda_client_refuse(client, 405, "MethodNotAllowed", "Use GET.");
                return;
        }
        if (!lambda->is_ready) {
                if (ready_say(&lambda->ready, 0) < 0)
                        loop_stop(&lambda->service.loop);
                lambda->is_ready = true;
        }
        lambda_client_wait(client);
}

/* Trailers may tell of an error that comes after the first bytes. */
static void route_stream(struct lambda_client *client, const struct http_request *request)
{
        struct slice type = header(request, SLICE("content-type"));

        client->purpose = PURPOSE_ANSWER;
        client->sink = slice_equal_fold(type, PRELUDE_TYPE) ? SINK_PRELUDE : SINK_STREAM;
        client->body.length = 0;
        client->body.limit = LAMBDA_PRELUDE_MAX;
        keep_type(client, type.length > 0 ? type : SLICE("application/octet-stream"));
        if (request->body != HTTP_BODY_CHUNKED)
                return;
        client->trailers = malloc(LAMBDA_TRAILERS_MAX);
        if (client->trailers)
                http_chunked_keep_trailers(&client->chunked, client->trailers, LAMBDA_TRAILERS_MAX);
}

static void route_invocation(struct lambda_client *client, const struct http_request *request,
                             struct slice id, struct slice verb)
{
        struct lambda_lane *lane = lambda_lane_find(client->lambda, id);
        bool streams;

        if (!slice_equal(verb, SLICE("response")) && !slice_equal(verb, SLICE("error"))) {
                lambda_client_refuse(client, 404, "NotFound", "There is no such path.");
                return;
        }
        if (request->method != HTTP_METHOD_POST) {
                lambda_client_refuse(client, 405, "MethodNotAllowed", "Use POST.");
                return;
        }
        if (!lane) {
                lambda_client_refuse(client, 400, "InvalidRequestID",
                                     "No invocation of this id is running.");
                return;
        }
        if (lane->state != LAMBDA_LANE_GIVEN || lane->client) {
                lambda_client_refuse(client, 403, "InvalidStateTransition",
                                     "The invocation is being answered already.");
                return;
        }
        client->lane = lane;
        streams = slice_equal(verb, SLICE("response")) &&
                  slice_equal_fold(header(request, SLICE("lambda-runtime-function-response-mode")),
                                   SLICE("streaming"));
        lambda_lane_begin_answer(lane, client, streams);
        if (slice_equal(verb, SLICE("error"))) {
                collect(client, PURPOSE_ERROR, LAMBDA_REPORT_MAX);
                keep_type(client, header(request, SLICE("lambda-runtime-function-error-type")));
        } else if (streams) {
                route_stream(client, request);
        } else {
                collect(client, PURPOSE_ANSWER, LAMBDA_ANSWER_MAX);
        }
}

static void route_init_error(struct lambda_client *client, const struct http_request *request)
{
        if (request->method != HTTP_METHOD_POST) {
                lambda_client_refuse(client, 405, "MethodNotAllowed", "Use POST.");
                return;
        }
        if (client->lambda->is_ready) {
                lambda_client_refuse(client, 403, "InvalidStateTransition",
                                     "The function was initialised already.");
                return;
        }
        collect(client, PURPOSE_INIT_ERROR, LAMBDA_REPORT_MAX);
        keep_type(client, header(request, SLICE("lambda-runtime-function-error-type")));
}

void lambda_route(struct lambda_client *client, const struct http_request *request)
{
        static const struct slice root = {"/2018-06-01/runtime/", 20};
        static const struct slice invocation = {"invocation/", 11};
        struct slice path = request->path, id;
        const char *mark;

        if (!slice_starts_with(path, root)) {
                lambda_client_refuse(client, 404, "NotFound", "There is no such path.");
                return;
        }
        path = slice_skip(path, root.length);
        if (slice_equal(path, SLICE("init/error"))) {
                route_init_error(client, request);
                return;
        }
        id = slice_starts_with(path, invocation) ? slice_skip(path, invocation.length) : SLICE("");
        mark = id.length > 0 ? memchr(id.data, '/', id.length) : NULL;
        if (slice_equal(id, SLICE("next")))
                route_next(client, request);
        else if (mark)
                route_invocation(client, request, slice_make(id.data, (size_t)(mark - id.data)),
                                 slice_skip(id, (size_t)(mark - id.data) + 1));
        else
                lambda_client_refuse(client, 404, "NotFound", "There is no such path.");
}

/* --- bodies ---------------------------------------------------------------------------------- */

/* The answer's head is complete: from here on the body streams. */
static void announce(struct lambda_client *client, uint32_t status, size_t meta_length)
{
        struct lambda_lane *lane = client->lane;

        client->sink = SINK_STREAM;
        client->announced = true;
        lambda_lane_announce(lane, status, slice_make(lane->answer_meta, meta_length));
}

static void announce_plain(struct lambda_client *client)
{
        char *meta = client->lane->answer_meta, *end;
        struct slice type = slice_of(client->type);

        end = stpcpy(meta, "content-type:");
        end = mempcpy(end, type.data, type.length);
        *end++ = '\n';
        announce(client, 0, (size_t)(end - meta));
}

static void fail_lane(struct lambda_client *client, const char *type, const char *fault)
{
        client->sink = SINK_DROP;
        client->purpose = PURPOSE_NONE;
        lambda_lane_fail(client->lane, type, fault);
        lambda_client_reply(client, 202, SLICE(accepted));
}

/* In `bytes`, eight NULs; NULL where they have not come. */
static const char *find_prelude_end(const struct buffer *bytes)
{
        static const char nuls[PRELUDE_END_LENGTH];

        return memmem(bytes->data, bytes->length, nuls, sizeof(nuls));
}

static void take_prelude(struct lambda_client *client)
{
        struct slice piece = client->piece;
        size_t room = client->body.limit - client->body.length, length;
        struct lambda_lane *lane = client->lane;
        struct lambda_answer answer;
        const char *end, *fault;

        if (piece.length > room)
                piece.length = room;
        client->piece = slice_skip(client->piece, piece.length);
        if (piece.length == 0 || buffer_append(&client->body, piece.data, piece.length) < 0) {
                fail_lane(client, "MarshalError", "The prelude of the response is too long.");
                return;
        }
        end = find_prelude_end(&client->body);
        if (!end)
                return;
        length = (size_t)(end - client->body.data);
        /* What of this piece was no prelude is the body's beginning. */
        room = client->body.length - length - PRELUDE_END_LENGTH;
        client->piece = slice_make(client->piece.data - room, client->piece.length + room);
        fault = lambda_prelude_read(client->body.data, length, lane->answer_meta,
                                    sizeof(lane->answer_meta), &answer);
        if (fault)
                fail_lane(client, "MarshalError", fault);
        else
                announce(client, answer.status, answer.meta_length);
}

/* Nothing that a sink cannot take may stop the connection: the rest is dropped. */
static void take_collected(struct lambda_client *client)
{
        struct slice piece = client->piece;
        size_t room = client->body.limit - client->body.length;
        bool fits = piece.length <= room;

        client->piece = (struct slice){0};
        if (!fits && client->purpose != PURPOSE_ANSWER)
                piece.length = room;
        if ((fits || client->purpose != PURPOSE_ANSWER) &&
            buffer_append(&client->body, piece.data, piece.length) == 0)
                return;
        if (client->lane)
                lambda_lane_fail(client->lane, "Function.ResponseSizeTooLarge",
                                 "A buffered response may have 6 MiB: more has to be streamed.");
        lambda_client_refuse(client, 413, "RequestEntityTooLarge", "The body is too large.");
}

void lambda_take_piece(struct lambda_client *client)
{
        struct slice piece = client->piece;

        if (!client->lane && client->sink != SINK_COLLECT)
                client->sink = SINK_DROP;
        switch (client->sink) {
        case SINK_DROP:
                client->piece = (struct slice){0};
                break;
        case SINK_COLLECT:
                take_collected(client);
                break;
        case SINK_PRELUDE:
                take_prelude(client);
                break;
        case SINK_STREAM:
                if (!client->announced) {
                        announce_plain(client);
                        break;
                }
                client->piece = (struct slice){0};
                lambda_lane_stream(client->lane, piece, false);
                break;
        }
}

/* --- the end --------------------------------------------------------------------------------- */

/* What the trailers say of an error: its report is in client->body, its type in client->type. False
 * where they say nothing of one. */
static bool read_trailers(struct lambda_client *client)
{
        struct slice rest = {0}, name, value;
        bool found = false;
        int error;

        if (client->trailers && client->framing == HTTP_BODY_CHUNKED)
                rest = slice_make(client->trailers, client->chunked.trailers_length);
        client->body.length = 0;
        while (worker_meta_next_header(&rest, &name, &value, &error)) {
                value = http_trim(value);
                if (slice_equal_fold(name, SLICE("lambda-runtime-function-error-type"))) {
                        keep_type(client, value);
                        found = true;
                }
                if (!slice_equal_fold(name, SLICE("lambda-runtime-function-error-body")))
                        continue;
                if (buffer_reserve(&client->body, BASE64_DECODED_MAX(value.length)) < 0 ||
                    base64_decode(BASE64_STANDARD, value, client->body.data, &client->body.length) <
                            0)
                        client->body.length = 0;
                found = true;
        }
        return found;
}

static void end_stream(struct lambda_client *client)
{
        struct lambda_lane *lane = client->lane;

        if (read_trailers(client)) {
                lambda_lane_report(lane, &client->body, slice_of(client->type));
        } else if (client->sink == SINK_PRELUDE) {
                fail_lane(client, "MarshalError", "The prelude of the response has no end.");
        } else if (!client->announced) {
                announce_plain(client); /* and once more, for the end */
                return;
        } else {
                lambda_lane_stream(lane, (struct slice){0}, true);
        }
        client->purpose = PURPOSE_NONE;
        lambda_client_reply(client, 202, SLICE(accepted));
}

void lambda_body_done(struct lambda_client *client)
{
        if (client->purpose == PURPOSE_NONE) {
                client->state = CLIENT_REPLY;
                return;
        }
        if (!client->lane && client->purpose != PURPOSE_INIT_ERROR) {
                /* The gateway has given the invocation up meanwhile. */
                lambda_client_refuse(client, 400, "InvalidRequestID",
                                     "No invocation of this id is running.");
                return;
        }
        if (client->sink == SINK_PRELUDE || client->sink == SINK_STREAM) {
                end_stream(client);
                return;
        }
        if (client->purpose == PURPOSE_INIT_ERROR)
                lambda_refuse(client->lambda, &client->body, slice_of(client->type));
        else if (client->purpose == PURPOSE_ERROR)
                lambda_lane_report(client->lane, &client->body, slice_of(client->type));
        else
                lambda_lane_answer(client->lane, &client->body);
        client->purpose = PURPOSE_NONE;
        lambda_client_reply(client, 202, SLICE(accepted));
}
