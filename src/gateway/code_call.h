/* A call that brings code: what api_code.c and api_image.c share. See api_code.c. */
#pragma once

#include "gateway/api_call.h"
#include "ports/images.h"

struct deployment;

/* What is different where the code is an image. */
struct image_call {
        struct list link; /* gateway->pulls, while `is_pulling` */
        bool is_pulling;
        char *reference; /* NULL: it is none */
        char *user, *password;
        char old_digest[DIGEST_LENGTH + 1]; /* of the version before; "" where there is none */
        bool contract_is_said, port_is_said;
        bool name_is_chosen; /* from the reference */
        unsigned name_attempt;
        struct image_lease *lease;
        enum image_result result;
        struct image_found found;
        bool old_is_known; /* what the version before was by itself: */
        enum contract old_contract;
        uint32_t old_port;
};

struct code_call {
        struct gateway *gateway;
        struct api_call *call; /* NULL once it is answered */
        struct job job;
        struct trial trial;
        struct store_request store;
        struct function *function; /* what is made; a reference */
        bool is_new;
        char old_handler[HANDLER_MAX_LENGTH + 1];
        cJSON *settings; /* what came with the code of a new version; NULL: nothing */
        char layer_digests[LAYERS_MAX][DIGEST_LENGTH + 1];
        int tries;
        struct image_call image;

        char staging[DIGEST_LENGTH + 1]; /* "" while nothing is staged */
        int status;                      /* of the problem that work() met; 0: none */
        const char *reason;
        struct err err;
};

/* A crew that is full: the call is answered and ended. */
void code_to_crew(struct code_call *self, struct crew *crew, void (*work)(struct job *job),
                  void (*done)(struct job *job));
/* On the crew: what the call will be answered with; the sentence is in self->err. */
void code_problem(struct code_call *self, int status, const char *reason);
/* Starts it once; `code` is what sandbox_order has, DIGEST_LENGTH + 1 bytes. */
void code_try(struct code_call *self, const char *code);
/* To the registry, and the answer. */
void code_submit(struct code_call *self);
/* The call has been answered. */
void code_end(struct code_call *self);

/* api_image.c ------------------------------------------------------------------------------------ */

extern const char image_call_has_no_code[];

/* On the crew: takes over what the document says of the image, and removes the credentials from it. */
void image_call_read(struct code_call *self, cJSON *object, const struct deployment *deployment);
/* On the loop: pulls, tries and registers. */
void image_call_fetch(struct code_call *self);
/* The chosen name is taken: is there another one to try? */
bool image_call_rename(struct code_call *self);
/* What an image's function has and no other: from one version to the next. */
void image_call_copy(const struct function *from, struct function *to);
/* The function becomes one of code; what `object` says itself stays, and is judged elsewhere. */
void image_call_forget(struct function *function, const cJSON *object);
/* The image may be collected again, unless a function has it now. */
void image_call_release(struct code_call *self);
void image_call_deinit(struct image_call *image);
