/* What is done once before the first connection is accepted: the administrator, his token, and the
 * removal of what no function uses any more; see api_start() in api.h. */
#include "base/auto.h"
#include "base/clock.h"
#include "core/auth/token.h"
#include "gateway/api.h"
#include "gateway/gateway.h"
#include "ports/bundles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADMINISTRATOR_EMAIL "admin@localhost"
#define ADMINISTRATOR_NAME_SPACE "admin"
#define ADMINISTRATOR_TOKEN_S (10ull * 365 * 24 * 3600)

struct start {
        struct gateway *gateway;
        void (*done)(struct gateway *gateway, const char *problem);
        struct store_request request;
        struct job job;
        struct user *administrator;
        struct err err;
};

static void start_finish(struct start *start, const char *problem)
{
        start->done(start->gateway, problem);
        user_unref(start->administrator);
        free(start);
}

/* Collecting --------------------------------------------------------------------------------------- */

struct collection {
        struct gateway *gateway;
        uint64_t before_s;
};

static bool collect_bundle(const char *digest, void *context)
{
        struct collection *collection = context;
        struct bundles *bundles = collection->gateway->bundles;

        if (!catalog_uses_digest(gateway_catalog(collection->gateway), digest))
                (void)bundles->ops->remove(bundles, digest, collection->before_s, NULL);
        return true;
}

/* Nothing is deployed yet, so whatever no function has is left over from a crash or a deletion. */
static void start_collect(struct start *start)
{
        struct collection collection = {.gateway = start->gateway,
                                        .before_s = clock_unix_ms() / 1000 + 1};
        struct bundles *bundles = start->gateway->bundles;

        (void)bundles->ops->each(bundles, collection.before_s, collect_bundle, &collection, NULL);
}

/* The token ------------------------------------------------------------------------------------------ */

/* Is what the file holds still the administrator's? */
static bool token_is_good(const struct gateway *gateway, const char *path, const char *user_id)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[TOKEN_MAX_LENGTH + 2];
        struct token_claims claims;
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));

        while (length > 0 && text[length - 1] == '\n')
                length--;
        return length > 0 &&
               token_verify(slice_make(text, (size_t)length), gateway->mac, clock_unix_ms() / 1000,
                            &claims) == TOKEN_VALID &&
               strcmp(claims.user_id, user_id) == 0 &&
               token_user(gateway_catalog(gateway), slice_of(claims.user_id), claims.epoch);
}

static int token_write(const struct gateway *gateway, const char *path, const struct user *user,
                       struct err *err)
{
        uint64_t now_s = clock_unix_ms() / 1000;
        struct token_claims claims = {.issued_s = now_s,
                                      .expires_s = now_s + ADMINISTRATOR_TOKEN_S,
                                      .epoch = user->token_epoch};
        char token[TOKEN_MAX_LENGTH + 1], fresh[4200];
        AUTO(fd_close) int fd = -1;
        int r;

        memcpy(claims.user_id, user->id, sizeof(claims.user_id));
        r = token_sign(&claims, gateway->mac, token);
        if (r < 0)
                return err_errno(err, r, "signing the administrator's token");
        (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
        fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || dprintf(fd, "%s\n", token) < 0 || fsync(fd) < 0 || rename(fresh, path) < 0)
                return err_errno(err, -errno, "writing '%s'", path);
        return 0;
}

/* On the crew: files. */
static void start_work(struct job *job)
{
        struct start *start = CONTAINER_OF(job, struct start, job);
        char path[4160];

        start_collect(start);
        (void)snprintf(path, sizeof(path), "%s/admin.token", start->gateway->config.data_dir);
        if (start->administrator && !token_is_good(start->gateway, path, start->administrator->id))
                (void)token_write(start->gateway, path, start->administrator, &start->err);
}

static void start_work_done(struct job *job)
{
        struct start *start = CONTAINER_OF(job, struct start, job);

        start_finish(start, start->err.code ? start->err.text : NULL);
}

static void start_submit_work(struct start *start)
{
        start->job = (struct job){.home = &start->gateway->threads[0].mailbox,
                                  .work = start_work,
                                  .done = start_work_done};
        if (crew_submit(start->gateway->crew, &start->job) < 0)
                start_finish(start, "the crew does not work");
}

/* The administrator ------------------------------------------------------------------------------------ */

static void start_made_administrator(struct store_request *request)
{
        struct start *start = CONTAINER_OF(request, struct start, request);

        if (request->result == STORE_OK)
                start_submit_work(start);
        else
                start_finish(start, request->err.code ? request->err.text
                                                      : "the administrator could not be made");
}

void api_start(struct gateway *gateway, void (*done)(struct gateway *gateway, const char *problem))
{
        const struct catalog *catalog = gateway_catalog(gateway);
        struct start *start = calloc(1, sizeof(*start));
        struct user *known;

        if (!start) {
                done(gateway, "no memory to start");
                return;
        }
        collector_start(gateway);
        start->gateway = gateway;
        start->done = done;
        known = catalog_find_user_by_email(catalog, SLICE(ADMINISTRATOR_EMAIL));
        if (known || catalog_user_count(catalog) > 0) {
                start->administrator = known ? user_ref(known) : NULL;
                start_submit_work(start);
                return;
        }
        start->administrator = user_new();
        if (!start->administrator) {
                start_finish(start, "no memory for the administrator");
                return;
        }
        gateway_make_id(&gateway->threads[0], start->administrator->id);
        (void)strcpy(start->administrator->email, ADMINISTRATOR_EMAIL);
        (void)strcpy(start->administrator->name_space, ADMINISTRATOR_NAME_SPACE);
        start->administrator->created_ms = clock_unix_ms();
        start->administrator->is_admin = true;
        start->request = (struct store_request){.home = &gateway->threads[0].mailbox,
                                                .done = start_made_administrator,
                                                .kind = STORE_USER_CREATE,
                                                .user = start->administrator};
        registry_store_submit(gateway->store, &start->request);
}
