/* POST /api/v1/users, POST /api/v1/users/login, GET and DELETE /api/v1/users/me. */
#include "gateway/api_call.h"

#include "base/clock.h"
#include "core/auth/token.h"
#include "gateway/collector.h"
#include "gateway/json_body.h"
#include "ports/credentials.h"

#include <stdio.h>
#include <stdlib.h>

#define TOKEN_LIFE_S (30ull * 24 * 3600)
#define CHECKS_MAX 32         /* passwords being hashed or waiting for it */
#define NAME_SPACE_TRIES 1000 /* jo, jo-2, ... */

/* A registration, a log-in, or a deletion under way. */
struct user_call {
        struct gateway *gateway;
        struct api_call *call;
        struct job job;
        struct store_request store;
        struct user *user; /* a reference; of a log-in NULL where the e-mail is unknown */
        cJSON *body;       /* holds e-mail and password */
        const char *email, *password;
        bool counted, right;
        struct err err;
};

static int read_email(const cJSON *value, void *target, struct err *err)
{
        return json_read_text(value, &((struct user_call *)target)->email, err);
}

static int read_password(const cJSON *value, void *target, struct err *err)
{
        return json_read_text(value, &((struct user_call *)target)->password, err);
}

static const struct json_member credential_members[] = {
        {"email", read_email},
        {"password", read_password},
};

static void user_call_free(struct user_call *self)
{
        if (self->counted)
                atomic_fetch_sub(&self->gateway->api.check_count, 1);
        if (self->password)
                explicit_bzero((char *)(uintptr_t)self->password, strlen(self->password));
        cJSON_Delete(self->body);
        user_unref(self->user);
        free(self);
}

/* NULL when the call has been answered. */
static struct user_call *user_call_new(struct api_call *call)
{
        struct user_call *self = calloc(1, sizeof(*self));

        if (!self) {
                api_answer_no_memory(call);
                return NULL;
        }
        self->gateway = api_gateway(call);
        self->call = call;
        return self;
}

/* Reads e-mail and password. NULL when the call has been answered. */
static struct user_call *user_call_read(struct api_call *call)
{
        struct user_call *self = user_call_new(call);

        if (!self)
                return NULL;
        self->body = api_read_body(call, credential_members, 2, self);
        if (!self->body) {
                free(self);
                return NULL;
        }
        if (self->email && self->password) {
                api_drop_body(call);
                return self;
        }
        user_call_free(self);
        api_answer_problem(call, 400, "invalid", "Both email and password are needed.");
        return NULL;
}

/* Has the crew hash or check the password; refuses when it has enough of that to do. */
static void user_call_to_crew(struct user_call *self, void (*work)(struct job *job),
                              void (*done)(struct job *job))
{
        struct api_call *call = self->call;

        self->counted = true;
        self->job = (struct job){.home = &call->thread->mailbox, .work = work, .done = done};
        if (atomic_fetch_add(&self->gateway->api.check_count, 1) < CHECKS_MAX &&
            crew_submit(self->gateway->crew, &self->job) == 0)
                return;
        user_call_free(self);
        api_answer_overloaded(call);
}

/* Registration ---------------------------------------------------------------------------------- */

static struct user *find_email(const struct api_call *call, const char *email)
{
        char folded[EMAIL_MAX_LENGTH + 1];

        email_fold(slice_of(email), folded);
        return catalog_find_user_by_email(gateway_catalog(api_gateway(call)), slice_of(folded));
}

static void answer_taken(struct user_call *self)
{
        struct api_call *call = self->call;

        user_call_free(self);
        api_answer_problem(call, 409, "taken", "There is a user of that e-mail address already.");
}

/* The first namespace of the user's that is free in this moment. */
static void choose_name_space(const struct catalog *catalog, struct user *user)
{
        for (uint32_t attempt = 0; attempt < NAME_SPACE_TRIES; attempt++) {
                name_space_from_email(slice_of(user->email), attempt, user->name_space);
                if (!catalog_find_user_by_name_space(catalog, slice_of(user->name_space)))
                        return;
        }
        /* Very many share the local part: the id is nobody else's. */
        for (size_t i = 0; i <= ID_LENGTH; i++) {
                char c = user->id[i];
                user->name_space[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
}

static void create_submit(struct user_call *self);

static void create_stored(struct store_request *request)
{
        struct user_call *self = CONTAINER_OF(request, struct user_call, store);
        struct api_call *call = self->call;

        switch (request->result) {
        case STORE_OK:
                user_call_free(self);
                api_answer_message(call, 201, "User created successfully.");
                return;
        case STORE_TAKEN:
                if (find_email(call, self->user->email))
                        answer_taken(self);
                else
                        create_submit(self); /* somebody took the namespace: the next one */
                return;
        case STORE_NOT_FOUND:
        case STORE_IN_USE:
        case STORE_CONFLICT:
        case STORE_FAILED:
                api_answer_store_failure(call, request);
                user_call_free(self);
                return;
        }
}

static void create_submit(struct user_call *self)
{
        choose_name_space(gateway_catalog(self->gateway), self->user);
        self->store = (struct store_request){.home = &self->call->thread->mailbox,
                                             .done = create_stored,
                                             .kind = STORE_USER_CREATE,
                                             .user = self->user};
        registry_store_submit(self->gateway->store, &self->store);
}

static void create_hash(struct job *job)
{
        struct user_call *self = CONTAINER_OF(job, struct user_call, job);
        const struct credentials *credentials = self->gateway->credentials;

        self->right = credentials->ops->hash(credentials, slice_of(self->password),
                                             self->user->password_hash, &self->err) == 0;
}

static void create_hashed(struct job *job)
{
        struct user_call *self = CONTAINER_OF(job, struct user_call, job);

        if (self->right) {
                create_submit(self);
                return;
        }
        struct api_call *call = self->call;
        user_call_free(self);
        api_answer_no_memory(call);
}

void api_user_create(struct api_call *call)
{
        const struct credentials *credentials = api_gateway(call)->credentials;
        struct user_call *self = user_call_read(call);
        struct err err = {0};

        if (!self)
                return;
        if (email_validate(slice_of(self->email), &err) < 0 ||
            credentials->ops->validate(credentials, slice_of(self->password), &err) < 0) {
                user_call_free(self);
                api_answer_problem(call, 400, "invalid", "%s", err.text);
                return;
        }
        if (find_email(call, self->email)) {
                answer_taken(self);
                return;
        }
        self->user = user_new();
        if (!self->user) {
                user_call_free(self);
                api_answer_no_memory(call);
                return;
        }
        gateway_make_id(call->thread, self->user->id);
        email_fold(slice_of(self->email), self->user->email);
        self->user->created_ms = clock_unix_ms();
        user_call_to_crew(self, create_hash, create_hashed);
}

/* Logging in ------------------------------------------------------------------------------------ */

static void login_check(struct job *job)
{
        struct user_call *self = CONTAINER_OF(job, struct user_call, job);
        const struct credentials *credentials = self->gateway->credentials;

        self->right = credentials->ops->verify(credentials, slice_of(self->password),
                                               self->user ? self->user->password_hash : "");
}

static void login_answer(struct api_call *call, const struct user *user)
{
        struct token_claims claims = {.issued_s = clock_unix_ms() / 1000,
                                      .epoch = user->token_epoch};
        cJSON *document = cJSON_CreateObject();
        char token[TOKEN_MAX_LENGTH + 1];

        claims.expires_s = claims.issued_s + TOKEN_LIFE_S;
        memcpy(claims.user_id, user->id, sizeof(claims.user_id));
        if (token_sign(&claims, api_gateway(call)->mac, token) < 0) {
                cJSON_Delete(document);
                api_answer_problem(call, 500, "platform.error", "The token could not be signed.");
                return;
        }
        (void)cJSON_AddStringToObject(document, "message", "User logged successfully.");
        (void)cJSON_AddStringToObject(document, "token", token);
        api_answer(call, 201, document);
}

static void login_checked(struct job *job)
{
        struct user_call *self = CONTAINER_OF(job, struct user_call, job);
        struct api_call *call = self->call;

        if (self->right && self->user)
                login_answer(call, self->user);
        else
                api_answer_problem(call, 401, "unauthorized", "E-mail or password is wrong.");
        user_call_free(self);
}

void api_user_login(struct api_call *call)
{
        struct user_call *self = user_call_read(call);
        struct user *user;

        if (!self)
                return;
        user = find_email(call, self->email);
        self->user = user ? user_ref(user) : NULL;
        user_call_to_crew(self, login_check, login_checked);
}

/* Oneself ------------------------------------------------------------------------------------------ */

void api_user_show(struct api_call *call)
{
        cJSON *document = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(document, "userId", call->user->id);
        (void)cJSON_AddStringToObject(document, "email", call->user->email);
        (void)cJSON_AddStringToObject(document, "namespace", call->user->name_space);
        api_answer(call, 200, document);
}

static void delete_stored(struct store_request *request)
{
        struct user_call *self = CONTAINER_OF(request, struct user_call, store);
        struct api_call *call = self->call;

        if (request->result == STORE_OK || request->result == STORE_NOT_FOUND) {
                collector_wake(api_gateway(call));
                api_answer_message(call, 200, "User email %s deleted successfully.",
                                   call->user->email);
        } else {
                api_answer_store_failure(call, request);
        }
        user_call_free(self);
}

void api_user_delete(struct api_call *call)
{
        struct user_call *self;

        if (call->user->is_admin) {
                api_answer_problem(call, 403, "not_permitted",
                                   "The administrator cannot be deleted.");
                return;
        }
        self = user_call_new(call);
        if (!self)
                return;
        self->store = (struct store_request){
                .home = &call->thread->mailbox, .done = delete_stored, .kind = STORE_USER_DELETE};
        memcpy(self->store.id, call->user->id, sizeof(self->store.id));
        registry_store_submit(self->gateway->store, &self->store);
}
