/* What only a registry on disk can promise: to be there tomorrow, and to say what is wrong. */
#include "adapters/sqlite/registry_sqlite.h"
#include "registry_story.h"
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct registry_story story;
static struct temporary folder;

static const char *path(void)
{
        return temporary_path(&folder, "magpie.db");
}

static void open_registry(void)
{
        struct err err;

        ck_assert_msg(registry_sqlite_open(path(), 1, &story.listener, &story.store, &err) == 0,
                      "%s", err.text);
}

static void begin(void)
{
        temporary_make(&folder);
        story_init(&story);
        open_registry();
}

static void end(void)
{
        story_deinit(&story);
        temporary_remove(&folder);
}

/* The sentence with which opening fails, behind "database PATH: ". */
static const char *refusal(int code)
{
        static struct err err;
        struct registry_store *store;
        char head[128];

        (void)snprintf(head, sizeof(head), "database %s: ", path());
        ck_assert_int_eq(registry_sqlite_open(path(), 1, &story.listener, &store, &err), code);
        ck_assert_int_eq(err.code, code);
        ck_assert_msg(strncmp(err.text, head, strlen(head)) == 0, "%s", err.text);
        return err.text + strlen(head);
}

/* Changes the closed database behind the registry's back. */
static void tamper(const char *sql)
{
        sqlite3 *connection;
        char *message = NULL;

        ck_assert_int_eq(sqlite3_open(path(), &connection), SQLITE_OK);
        ck_assert_msg(sqlite3_exec(connection, sql, NULL, NULL, &message) == SQLITE_OK, "%s",
                      message);
        ck_assert_int_eq(sqlite3_close(connection), SQLITE_OK);
}

static void expect_same_user(const struct user *a, const struct user *b)
{
        ck_assert_str_eq(a->id, b->id);
        ck_assert_str_eq(a->email, b->email);
        ck_assert_str_eq(a->name_space, b->name_space);
        ck_assert_str_eq(a->password_hash, b->password_hash);
        ck_assert_uint_eq(a->created_ms, b->created_ms);
        ck_assert_uint_eq(a->token_epoch, b->token_epoch);
        ck_assert_int_eq(a->is_admin, b->is_admin);
}

static void expect_same_image(const struct image *a, const struct image *b)
{
        ck_assert_int_eq(a == NULL, b == NULL);
        if (!a || !b)
                return;
        ck_assert_uint_eq(a->user, b->user);
        ck_assert_uint_eq(a->group, b->group);
        ck_assert_str_eq(a->directory, b->directory);
        ck_assert_uint_eq(a->word_count, b->word_count);
        for (size_t i = 0; i < a->word_count; i++)
                ck_assert_str_eq(a->words[i], b->words[i]);
        ck_assert_uint_eq(a->env_count, b->env_count);
        for (size_t i = 0; i < a->env_count; i++)
                ck_assert_str_eq(a->env[i], b->env[i]);
}

static void expect_same_function(const struct function *a, const struct function *b)
{
        ck_assert_str_eq(a->id, b->id);
        ck_assert_str_eq(a->owner_id, b->owner_id);
        ck_assert_str_eq(a->owner_name_space, b->owner_name_space);
        ck_assert_str_eq(a->name, b->name);
        ck_assert_int_eq(a->runtime, b->runtime);
        ck_assert_str_eq(a->handler, b->handler);
        ck_assert_str_eq(a->code_digest, b->code_digest);
        ck_assert_uint_eq(a->code_bytes, b->code_bytes);
        ck_assert_uint_eq(a->version, b->version);
        ck_assert_uint_eq(a->created_ms, b->created_ms);
        ck_assert_uint_eq(a->updated_ms, b->updated_ms);
        ck_assert_uint_eq(a->memory_bytes, b->memory_bytes);
        ck_assert_uint_eq(a->tmp_bytes, b->tmp_bytes);
        ck_assert_uint_eq(a->timeout_ms, b->timeout_ms);
        ck_assert_uint_eq(a->keep_alive_ms, b->keep_alive_ms);
        ck_assert_uint_eq(a->concurrency, b->concurrency);
        ck_assert_uint_eq(a->min_instances, b->min_instances);
        ck_assert_uint_eq(a->max_instances, b->max_instances);
        ck_assert_uint_eq(a->cpu_millis, b->cpu_millis);
        ck_assert_int_eq(a->is_public, b->is_public);
        ck_assert_int_eq(a->starts_plainly, b->starts_plainly);
        ck_assert_int_eq(a->contract, b->contract);
        ck_assert_int_eq(a->network, b->network);
        ck_assert_uint_eq(a->port, b->port);
        ck_assert_str_eq(a->image_reference, b->image_reference);
        ck_assert_str_eq(a->reach, b->reach);
        expect_same_image(a->image, b->image);
        ck_assert_str_eq(a->layers_digest, b->layers_digest);
        ck_assert_uint_eq(a->layer_count, b->layer_count);
        for (size_t i = 0; i < a->layer_count; i++) {
                ck_assert_str_eq(a->layers[i].id, b->layers[i].id);
                ck_assert_str_eq(a->layers[i].name, b->layers[i].name);
                ck_assert_uint_eq(a->layers[i].version, b->layers[i].version);
        }
        ck_assert_uint_eq(a->env_count, b->env_count);
        for (size_t i = 0; i < a->env_count; i++)
                ck_assert_str_eq(a->env[i], b->env[i]);
}

TEST(everything_is_the_same_after_closing_and_opening)
{
        struct function *functions[8], *changed;
        struct user *user;

        begin();
        user = story_user(5);
        user->token_epoch = UINT64_MAX;
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        for (unsigned i = 0; i < 8; i++) {
                functions[i] = story_function(i, user);
                ck_assert_int_eq(story_create(&story, functions[i]), STORE_OK);
        }
        changed = story_function(2, user);
        changed->version = 2;
        changed->is_public = true;
        changed->updated_ms += 17;
        ck_assert_int_eq(function_set_env(changed, 1, (const char *const[]){"NEW=1"}), 0);
        ck_assert_int_eq(story_update(&story, changed), STORE_OK);
        function_unref(functions[2]);
        functions[2] = changed;
        ck_assert_int_eq(story_delete(&story, STORE_FUNCTION_DELETE, functions[7]->id), STORE_OK);

        story_close_store(&story);
        open_registry();
        ck_assert_uint_eq(catalog_user_count(story.catalog), 1);
        ck_assert_uint_eq(catalog_each_function(story.catalog, NULL, NULL), 7);
        expect_same_user(catalog_find_user(story.catalog, slice_of(user->id)), user);
        for (unsigned i = 0; i < 8; i++) {
                struct function *found =
                        catalog_find_function(story.catalog, slice_of(functions[i]->id));
                if (i == 7)
                        ck_assert_ptr_null(found);
                else
                        expect_same_function(found, functions[i]);
                function_unref(functions[i]);
        }
        user_unref(user);
        end();
}
TEST_END

TEST(layers_and_their_numbers_are_the_same_after_closing_and_opening)
{
        struct user *user = story_user(1);
        struct layer *layers[3], *found;
        struct function *function = story_function(1, user), *next;

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        for (unsigned i = 0; i < 3; i++) {
                layers[i] = story_layer(i, user, i == 1 ? "other" : "tools");
                ck_assert_int_eq(story_publish_layer(&story, layers[i]), STORE_OK);
        }
        story_use_layer(function, layers[2]);
        story_use_layer(function, layers[1]);
        memset(function->layers_digest, 'e', DIGEST_LENGTH);
        ck_assert_int_eq(story_create(&story, function), STORE_OK);
        next = function_copy(function);
        next->version = 2;
        next->layer_count = 1;
        ck_assert_int_eq(story_update(&story, next), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, layers[1]->id), STORE_OK);

        story_close_store(&story);
        open_registry();
        found = catalog_find_layer(story.catalog, slice_of(layers[2]->id));
        ck_assert_str_eq(found->owner_id, user->id);
        ck_assert_str_eq(found->name, "tools");
        ck_assert_uint_eq(found->version, 2);
        ck_assert_str_eq(found->digest, layers[2]->digest);
        ck_assert_uint_eq(found->bytes, layers[2]->bytes);
        ck_assert_uint_eq(found->created_ms, layers[2]->created_ms);
        ck_assert_uint_eq(catalog_each_layer_of(story.catalog, slice_of(user->id), NULL, NULL), 2);
        expect_same_function(catalog_find_function(story.catalog, slice_of(function->id)), next);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, layers[2]->id), STORE_IN_USE);
        ck_assert_int_eq(story_publish_layer(&story, layers[1]), STORE_OK);
        ck_assert_uint_eq(layers[1]->version, 2);
        for (unsigned i = 0; i < 3; i++)
                layer_unref(layers[i]);
        function_unref(function);
        function_unref(next);
        user_unref(user);
        end();
}
TEST_END

TEST(a_deleted_user_is_gone_with_functions_and_environments_after_opening_again)
{
        struct user *user = story_user(1);
        struct function *function = story_function(3, user);

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        ck_assert_int_eq(story_create(&story, function), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_USER_DELETE, user->id), STORE_OK);
        story_close_store(&story);
        open_registry();
        ck_assert_uint_eq(catalog_each_function(story.catalog, NULL, NULL), 0);
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        ck_assert_int_eq(story_create(&story, function), STORE_OK);
        user_unref(user);
        function_unref(function);
        end();
}
TEST_END

static sem_t published, go_on;

static void publish_and_wait(struct catalog_listener *listener, struct catalog *catalog)
{
        story_publish(listener, catalog);
        sem_post(&published);
        sem_wait(&go_on);
}

TEST(requests_that_wait_share_one_transaction)
{
        enum { COUNT = 50 };
        struct user *user = story_user(1);
        struct story_call calls[COUNT] = {0}, first = {.request = {.kind = STORE_USER_CREATE}};
        unsigned before;

        begin();
        sem_init(&published, 0, 0);
        sem_init(&go_on, 0, 0);
        story.listener.publish = publish_and_wait;
        first.request.user = user;
        story_submit(&story, &first);
        sem_wait(&published); /* the writer is held up; now others queue */
        before = story.published;
        for (unsigned i = 0; i < COUNT; i++) {
                calls[i].request.kind = STORE_FUNCTION_CREATE;
                calls[i].request.function = story_function(i / 2, user); /* each a second time */
                story_submit(&story, &calls[i]);
        }
        sem_post(&go_on);
        sem_post(&go_on);
        for (unsigned i = 0; i < COUNT; i++) {
                ck_assert_int_eq(story_wait(&story, &calls[i]), i % 2 ? STORE_TAKEN : STORE_OK);
                function_unref(calls[i].request.function);
        }
        ck_assert_uint_eq(story.published, before + 1);
        user_unref(user);
        end();
}
TEST_END

TEST(the_database_is_its_owners_alone)
{
        struct stat status;
        struct user *user = story_user(1);

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        ck_assert_int_eq(stat(path(), &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0600);
        ck_assert_int_eq(stat(temporary_path(&folder, "magpie.db-wal"), &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0600);
        user_unref(user);
        end();
}
TEST_END

TEST(a_second_process_is_kept_out)
{
        begin();
        ck_assert_str_eq(refusal(-EBUSY), "another process is using it");
        end();
}
TEST_END

TEST(a_folder_that_is_missing_is_named)
{
        begin();
        story_close_store(&story);
        temporary_remove(&folder);
        ck_assert_str_eq(refusal(-ENOENT), "it cannot be opened: No such file or directory");
        ck_assert_int_eq(mkdir(folder.path, 0700), 0);
        end();
}
TEST_END

TEST(a_file_that_is_no_database_is_refused_and_left_alone)
{
        static const char text[] =
                "This is a text file of some length, and not a database at all.\n";
        char read_back[sizeof(text)] = "";
        FILE *file;

        begin();
        story_close_store(&story);
        file = fopen(path(), "w");
        for (int i = 0; i < 100; i++)
                ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_str_eq(refusal(-EUCLEAN), "opening it: file is not a database");
        file = fopen(path(), "r");
        ck_assert_ptr_nonnull(fgets(read_back, sizeof(read_back), file));
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_str_eq(read_back, text);
        end();
}
TEST_END

TEST(the_database_of_another_program_is_refused)
{
        begin();
        story_close_store(&story);
        ck_assert_int_eq(unlink(path()), 0);
        tamper("CREATE TABLE bookmarks (url TEXT)");
        ck_assert_str_eq(refusal(-EUCLEAN), "it is the database of another program");
        end();
}
TEST_END

TEST(a_database_of_a_newer_version_is_refused)
{
        begin();
        story_close_store(&story);
        tamper("PRAGMA user_version = 99");
        ck_assert_str_eq(refusal(-EUCLEAN),
                         "it was written by a newer magpie (schema 99, this one knows 5)");
        end();
}
TEST_END

TEST(what_a_node_without_the_zygotes_setting_has_written_is_read)
{
        struct user *user = story_user(1);
        struct function *function = story_function(1, user), *found;

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        ck_assert_int_eq(story_create(&story, function), STORE_OK);
        story_close_store(&story);
        tamper("ALTER TABLE functions DROP COLUMN starts_plainly;"
               "ALTER TABLE functions DROP COLUMN contract;"
               "ALTER TABLE functions DROP COLUMN network;"
               "ALTER TABLE functions DROP COLUMN port;"
               "ALTER TABLE functions DROP COLUMN image_reference;"
               "ALTER TABLE functions DROP COLUMN image;"
               "DROP TABLE function_layers; DROP TABLE layers; DROP TABLE layer_names;"
               "ALTER TABLE functions DROP COLUMN layers_digest;"
               "ALTER TABLE functions DROP COLUMN reach;"
               "PRAGMA user_version = 1");
        open_registry();
        found = catalog_find_function(story.catalog, slice_of(function->id));
        ck_assert(!found->starts_plainly);
        expect_same_function(found, function);
        user_unref(user);
        function_unref(function);
        end();
}
TEST_END

TEST(a_row_that_cannot_be_is_named)
{
        static const struct {
                const char *sql, *sentence;
        } cases[] = {
                {"UPDATE functions SET runtime = 'cobol'",
                 "the row of function '01FN0000000000000000000001' is damaged"},
                {"UPDATE functions SET runtime = 'node', handler = printf('%300d', 1)",
                 "the row of function '01FN0000000000000000000001' is damaged"},
                {"UPDATE functions SET handler = 'a.b', max_instances = 1 << 40",
                 "the row of function '01FN0000000000000000000001' is damaged"},
                {"UPDATE functions SET max_instances = 0",
                 "the row of function '01FN0000000000000000000001' is damaged: "
                 "max 0 is not allowed: it may be 1 to 10000"},
                {"UPDATE functions SET max_instances = 9;"
                 "UPDATE function_env SET assignment = 'nonsense'",
                 "the row of function '01FN0000000000000000000001' is damaged: "
                 "env 'nonsense' is not of the form NAME=value"},
                {"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
                 " INSERT INTO function_env SELECT id, i, 'A=1' FROM functions, n",
                 "function 01FN0000000000000000000001 has too long an environment"},
                {"DELETE FROM function_env; UPDATE layers SET name = 'No Name'",
                 "a layer of function '01FN0000000000000000000001' is damaged"},
                {"UPDATE layers SET name = 'tools', version = 0",
                 "a layer of function '01FN0000000000000000000001' is damaged"},
                {"UPDATE layers SET version = 1; UPDATE functions SET layers_digest = 'f'",
                 "the row of function '01FN0000000000000000000001' is damaged: layers digest 'f' "
                 "is not 64 hexadecimal digits"},
                {"UPDATE functions SET layers_digest = '';"
                 "INSERT INTO function_layers SELECT function_id, 1, layer_id FROM function_layers",
                 "the layers of function '01FN0000000000000000000001' are damaged: layer 'tools' "
                 "is named twice"},
                {"DELETE FROM function_layers WHERE position = 1; UPDATE layers SET digest = 'f'",
                 "the row of layer '01TREE00000000000000000001' is damaged"},
                {"UPDATE users SET email = 'nobody'",
                 "the row of user '01SER000000000000000000001' is damaged"},
        };
        struct user *user = story_user(1);
        struct function *function = story_function(1, user);
        struct layer *layer = story_layer(1, user, "tools");

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        ck_assert_int_eq(story_publish_layer(&story, layer), STORE_OK);
        story_use_layer(function, layer);
        ck_assert_int_eq(story_create(&story, function), STORE_OK);
        story_close_store(&story);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                tamper(cases[i].sql);
                ck_assert_str_eq(refusal(-EUCLEAN), cases[i].sentence);
        }
        layer_unref(layer);
        user_unref(user);
        function_unref(function);
        end();
}
TEST_END

TEST(a_page_that_was_overwritten_is_found_at_the_start)
{
        struct user *user = story_user(1);
        char zeros[4096];
        int fd;

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        story_close_store(&story);
        memset(zeros, 0x5a, sizeof(zeros));
        fd = open(path(), O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), 4096), sizeof(zeros));
        ck_assert_int_eq(close(fd), 0);
        ck_assert_ptr_nonnull(strstr(refusal(-EUCLEAN), "it is damaged: "));
        user_unref(user);
        end();
}
TEST_END

/* Mounts a tiny file system on the folder, for this (forked) test alone. */
static bool folder_is_small(void)
{
        return unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", folder.path, "tmpfs", 0, "size=512k") == 0;
}

TEST(a_full_disk_fails_the_request_alone_and_later_ones_succeed)
{
        static char block[4096];
        struct user *user = story_user(1);
        struct story_call call = {.request = {.kind = STORE_USER_CREATE, .user = user}};
        const char *filler;
        int fd;

        temporary_make(&folder);
        if (!folder_is_small())
                exit(77); /* not root: Check counts it as an error, which it is for us */
        story_init(&story);
        open_registry();
        filler = temporary_path(&folder, "filler");
        fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (write(fd, block, sizeof(block)) > 0)
                continue;
        ck_assert_int_eq(errno, ENOSPC);

        ck_assert_int_eq(story_call(&story, &call), STORE_FAILED);
        ck_assert_int_eq(call.request.err.code, -ENOSPC);
        ck_assert_ptr_nonnull(strstr(call.request.err.text, "disk is full"));
        ck_assert_ptr_null(catalog_find_user(story.catalog, slice_of(user->id)));
        ck_assert_int_eq(close(fd), 0);
        ck_assert_int_eq(unlink(filler), 0);
        ck_assert_int_eq(story_call(&story, &call), STORE_OK);
        story_deinit(&story);
        ck_assert_int_eq(umount2(folder.path, MNT_DETACH), 0);
        temporary_remove(&folder);
        user_unref(user);
}
TEST_END

/* Creates functions as fast as it can, and writes each number to the pipe once it is
 * acknowledged. */
static void create_until_killed(int acknowledged_fd, struct user *user, unsigned from)
{
        story_init(&story);
        open_registry();
        for (unsigned number = from;; number++) {
                struct function *function = story_function(number, user);
                if (story_create(&story, function) != STORE_OK ||
                    write(acknowledged_fd, &number, sizeof(number)) != sizeof(number))
                        _exit(1);
                function_unref(function);
        }
}

/* Lets a child write, kills it after some acknowledgements, and returns the last number. */
static unsigned kill_one_writer(struct user *user, unsigned from, unsigned most)
{
        unsigned last = from - 1, number, count = 0;
        int ends[2], status;
        pid_t child;

        ck_assert_int_eq(pipe(ends), 0);
        child = fork();
        if (child == 0) {
                (void)close(ends[0]);
                create_until_killed(ends[1], user, from);
        }
        ck_assert_int_gt(child, 0);
        ck_assert_int_eq(close(ends[1]), 0);
        while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
                ck_assert_uint_eq(number, last + 1);
                last = number;
                if (++count == most)
                        ck_assert_int_eq(kill(child, SIGKILL), 0);
        }
        ck_assert_int_eq(close(ends[0]), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
        return last;
}

TEST(what_was_acknowledged_survives_kill_9)
{
        struct user *user = story_user(1);
        unsigned last = 0;

        begin();
        ck_assert_int_eq(story_create_user(&story, user), STORE_OK);
        story_deinit(&story);
        for (unsigned round = 0; round < 20; round++) {
                /* A kill may also hit a change that was made but not yet acknowledged. */
                unsigned from = last + 2, found = 0;
                last = kill_one_writer(user, from, 1 + (round * 7919) % 40);

                story_init(&story);
                open_registry();
                for (unsigned number = from; number <= last; number++) {
                        struct function *wanted = story_function(number, user);
                        struct function *function =
                                catalog_find_function(story.catalog, slice_of(wanted->id));
                        ck_assert_msg(function != NULL, "round %u: %u is lost", round, number);
                        expect_same_function(function, wanted);
                        function_unref(wanted);
                        found++;
                }
                ck_assert_uint_eq(found, last + 1 - from);
                story_deinit(&story);
        }
        temporary_remove(&folder);
        user_unref(user);
}
TEST_END

TEST_MAIN("registry_sqlite", everything_is_the_same_after_closing_and_opening,
          layers_and_their_numbers_are_the_same_after_closing_and_opening,
          a_deleted_user_is_gone_with_functions_and_environments_after_opening_again,
          requests_that_wait_share_one_transaction, the_database_is_its_owners_alone,
          a_second_process_is_kept_out, a_folder_that_is_missing_is_named,
          a_file_that_is_no_database_is_refused_and_left_alone,
          the_database_of_another_program_is_refused, a_database_of_a_newer_version_is_refused,
          what_a_node_without_the_zygotes_setting_has_written_is_read,
          a_row_that_cannot_be_is_named, a_page_that_was_overwritten_is_found_at_the_start,
          a_full_disk_fails_the_request_alone_and_later_ones_succeed,
          what_was_acknowledged_survives_kill_9)
