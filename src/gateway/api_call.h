/* A call of the API: a request whose body is collected, then handled, then answered.
 *
 * From the moment its handler is called, a call is under way until one of the api_answer...()
 * functions ends it; they answer when the client is still there, and free the call in any case. In
 * between the handler may wait for the store, the crew or a trial boot. Everything happens on the
 * thread of the call's connection; only what a job's work() does does not.
 */
#pragma once

#include "base/buffer.h"
#include "core/registry/function.h"
#include "gateway/connection.h"
#include "gateway/gateway.h"

#include <cjson/cJSON.h>

#define API_ID_MAX NAME_MAX_LENGTH /* ids are shorter than the longest name */

struct api_call {
        struct exchange exchange;
        struct gateway_thread *thread;
        void (*handle)(struct api_call *call);
        struct user *user;       /* a reference; NULL where the route needs none */
        char id[API_ID_MAX + 1]; /* what stood for {id}; "" where that is too long */
        char version[11];        /* for {version}, likewise */
        char *query;             /* as it was sent; "" where there is none */
        struct buffer body;
        size_t charged; /* of its capacity, to the thread's blocks: all, but of uploads */
        uint64_t began_ns;
        void *state;    /* the handler's own */
        bool is_upload; /* its body may be large, and counts as one of few */
        struct list upload_link;
};

static inline struct gateway *api_gateway(const struct api_call *call)
{
        return call->thread->gateway;
}

/* The caller's own function that {id} names, by id or by name; borrowed from the catalog. */
struct function *api_find_function(const struct api_call *call);
/* The body as a JSON object, whose members `members` read into `target`. Where it is none, the call
 * has been answered (400) and NULL is returned. The caller deletes it. */
struct json_member;
cJSON *api_read_body(struct api_call *call, const struct json_member *members, size_t count,
                     void *target);
/* A member that is code in base64, in a document of ours: it is decoded in place. 0; or -EINVAL, or
 * -EFBIG where it is larger than this server allows, and a sentence. */
int api_decode_code(const struct gateway *gateway, const char *encoded, struct slice *ret_code,
                    struct err *err);
/* The body is not needed any more. */
void api_drop_body(struct api_call *call);

/* Each ends the call. */
void api_answer(struct api_call *call, int status, cJSON *document); /* deletes the document */
void api_answer_text(struct api_call *call, struct slice content_type, struct slice text);
void api_answer_message(struct api_call *call, int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void api_answer_problem(struct api_call *call, int status, const char *reason, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));
void api_answer_not_found(struct api_call *call);  /* no such function, or none of the caller's */
void api_answer_overloaded(struct api_call *call); /* 503, with Retry-After */
void api_answer_no_memory(struct api_call *call);
/* What became of the store's work that is not peculiar to the call: NOT_FOUND, FAILED. */
void api_answer_store_failure(struct api_call *call, const struct store_request *request);
/* Ends a call that was answered piece by piece, or whose client is gone. */
void api_call_end(struct api_call *call);

/* The handlers. */
void api_user_create(struct api_call *call);
void api_user_login(struct api_call *call);
void api_user_show(struct api_call *call);
void api_user_delete(struct api_call *call);
void api_function_create(struct api_call *call);
void api_function_list(struct api_call *call);
void api_function_show(struct api_call *call);
void api_function_replace_code(struct api_call *call);
void api_function_add_version(struct api_call *call);
void api_function_change(struct api_call *call);
void api_function_delete(struct api_call *call);
void api_function_logs(struct api_call *call);
void api_pull_list(struct api_call *call);
void api_layer_list(struct api_call *call);
void api_layer_create(struct api_call *call);
void api_layer_show(struct api_call *call);
void api_layer_publish(struct api_call *call);
void api_layer_remove(struct api_call *call);
void api_health(struct api_call *call);
void api_ready(struct api_call *call);
void api_metrics(struct api_call *call);
