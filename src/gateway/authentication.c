/* Who asks? See authentication.h. */
#include "gateway/authentication.h"

#include "base/clock.h"
#include "core/auth/token.h"
#include "gateway/gateway.h"
#include "gateway/response.h"
#include "ports/credentials.h"
#include "wire/base64.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define BASIC_MAX_LENGTH 2048 /* of "e-mail:password" in base64 */
#define CHECKS_MAX 32 /* passwords being hashed or waiting for it: each costs 50 ms and more */

/* A password on its way through the crew; the connection waits with its head unread. */
struct password_check {
        struct exchange exchange;
        struct job job;
        struct gateway_thread *thread;
        struct credential_digest digest;
        char user_id[ID_LENGTH + 1];
        uint64_t epoch;
        char hash[PASSWORD_HASH_MAX];
        char password[BASIC_MAX_LENGTH];
        size_t password_length;
        bool right;
};

static uint64_t now_s(void)
{
        return clock_unix_ms() / 1000;
}

static bool has_scheme(struct slice credential, struct slice scheme)
{
        return credential.length > scheme.length &&
               (credential.data[scheme.length] == ' ' || credential.data[scheme.length] == '\t') &&
               slice_equal_fold(slice_make(credential.data, scheme.length), scheme);
}

static enum authentication authenticate_user(const struct gateway_thread *thread,
                                             struct slice user_id, uint64_t epoch,
                                             struct user **ret_user)
{
        struct user *user = token_user(gateway_catalog(thread->gateway), user_id, epoch);

        if (!user)
                return AUTHENTICATION_REFUSED;
        *ret_user = user;
        return AUTHENTICATED;
}

static enum authentication authenticate_bearer(struct gateway_thread *thread, struct slice token,
                                               const struct credential_digest *digest,
                                               struct user **ret_user)
{
        struct token_claims claims;

        if (token_verify(token, thread->gateway->mac, now_s(), &claims) != TOKEN_VALID)
                return token_stands_in(token) ? AUTHENTICATION_REFUSED : AUTHENTICATION_FOREIGN;
        token_cache_put(thread->tokens, digest, claims.user_id, claims.epoch, claims.expires_s,
                        now_s());
        return authenticate_user(thread, slice_of(claims.user_id), claims.epoch, ret_user);
}

/* Passwords -------------------------------------------------------------------------------------- */

static void password_check_work(struct job *job)
{
        struct password_check *check = CONTAINER_OF(job, struct password_check, job);
        const struct credentials *credentials = check->thread->gateway->credentials;

        check->right = credentials->ops->verify(
                credentials, slice_make(check->password, check->password_length), check->hash);
        explicit_bzero(check->password, sizeof(check->password));
}

static void password_check_done(struct job *job)
{
        struct password_check *check = CONTAINER_OF(job, struct password_check, job);
        struct connection *connection = check->exchange.connection;

        atomic_fetch_sub(&check->thread->gateway->api.check_count, 1);
        atomic_fetch_sub(&check->thread->gateway->api.call_count, 1);
        if (check->right)
                token_cache_put(check->thread->tokens, &check->digest, check->user_id, check->epoch,
                                now_s() + TOKEN_CACHE_PASSWORD_S, now_s());
        if (connection) {
                connection->exchange = NULL;
                connection->refused_credentials = !check->right;
                connection->state = CONNECTION_HEAD;
                connection_resume(connection);
        }
        free(check);
}

static size_t password_check_room(struct exchange *exchange)
{
        (void)exchange;
        return 0;
}

static void password_check_body(struct exchange *exchange, struct slice bytes, bool end)
{
        (void)exchange;
        (void)bytes;
        (void)end;
}

/* The hash is worked out all the same, for the cache; nobody waits for it. */
static void password_check_gone(struct exchange *exchange)
{
        (void)exchange;
}

static const struct exchange_ops password_check_ops = {
        .room = password_check_room,
        .body = password_check_body,
        .gone = password_check_gone,
};

/* Fills in whom the credential names. False where it is malformed. An unknown e-mail is checked
 * like a known one, against no password: the time tells nothing. */
static bool password_check_parse(struct password_check *check, struct slice encoded)
{
        char text[BASE64_DECODED_MAX(BASIC_MAX_LENGTH)];
        const struct user *user;
        size_t length;
        char *colon;

        if (encoded.length > BASIC_MAX_LENGTH ||
            base64_decode(BASE64_STANDARD, encoded, text, &length) < 0)
                return false;
        colon = memchr(text, ':', length);
        if (!colon)
                return false;
        for (char *c = text; c < colon; c++)
                *c = (char)tolower((unsigned char)*c);
        user = catalog_find_user_by_email(gateway_catalog(check->thread->gateway),
                                          slice_make(text, (size_t)(colon - text)));
        if (user) {
                memcpy(check->user_id, user->id, sizeof(check->user_id));
                memcpy(check->hash, user->password_hash, sizeof(check->hash));
                check->epoch = user->token_epoch;
        }
        check->password_length = length - (size_t)(colon + 1 - text);
        memcpy(check->password, colon + 1, check->password_length);
        explicit_bzero(text, sizeof(text));
        return true;
}

static enum authentication authenticate_basic(struct connection *connection, struct slice encoded,
                                              const struct credential_digest *digest)
{
        struct gateway_thread *thread = connection->thread;
        struct gateway *gateway = thread->gateway;
        struct password_check *check;

        if (connection->refused_credentials) {
                connection->refused_credentials = false;
                return AUTHENTICATION_REFUSED;
        }
        if (atomic_load(&gateway->api.check_count) >= CHECKS_MAX)
                return AUTHENTICATION_BUSY;
        check = calloc(1, sizeof(*check));
        if (!check)
                return AUTHENTICATION_BUSY;
        check->thread = thread;
        check->digest = *digest;
        check->exchange.ops = &password_check_ops;
        check->exchange.connection = connection;
        check->job = (struct job){
                .home = &thread->mailbox, .work = password_check_work, .done = password_check_done};
        if (!password_check_parse(check, encoded)) {
                free(check);
                return AUTHENTICATION_REFUSED;
        }
        if (crew_submit(gateway->crew, &check->job) < 0) {
                explicit_bzero(check->password, sizeof(check->password));
                free(check);
                return AUTHENTICATION_BUSY;
        }
        atomic_fetch_add(&gateway->api.check_count, 1);
        atomic_fetch_add(&gateway->api.call_count, 1);
        connection->exchange = &check->exchange;
        return AUTHENTICATION_SUSPENDED;
}

enum authentication authenticate(struct connection *connection, const struct http_request *request,
                                 struct user **ret_user)
{
        struct gateway_thread *thread = connection->thread;
        const struct credentials *credentials = thread->gateway->credentials;
        struct slice credential = request->authorization;
        const struct token_cache_entry *known;
        struct credential_digest digest;

        if (!credential.data)
                return AUTHENTICATION_MISSING;
        credentials->ops->digest(credentials, credential, &digest);
        known = token_cache_find(thread->tokens, &digest, now_s());
        if (known)
                return authenticate_user(thread, slice_of(known->user_id), known->epoch, ret_user);
        if (has_scheme(credential, SLICE("Bearer")))
                return authenticate_bearer(thread, slice_skip(credential, 7), &digest, ret_user);
        if (has_scheme(credential, SLICE("Basic")))
                return authenticate_basic(connection, slice_skip(credential, 6), &digest);
        /* One of ours all the same, said wrongly? */
        return token_stands_in(credential) ? AUTHENTICATION_REFUSED : AUTHENTICATION_FOREIGN;
}

void authentication_answer(struct connection *connection, enum authentication result)
{
        struct problem problem = {.status = 401, .reason = "unauthorized"};

        switch (result) {
        case AUTHENTICATION_MISSING:
                problem.detail = "Log in, and send the token as `Authorization: Bearer TOKEN`.";
                break;
        case AUTHENTICATION_BUSY:
                problem = (struct problem){.status = 503,
                                           .reason = "overloaded",
                                           .detail = "Too many passwords are being checked.",
                                           .retry_after_s = 1};
                break;
        case AUTHENTICATION_REFUSED:
        case AUTHENTICATION_FOREIGN:
        case AUTHENTICATION_SUSPENDED:
        case AUTHENTICATED:
                problem.detail = "The token or password is wrong, or not valid any more.";
                break;
        }
        response_problem(connection, &problem);
}
