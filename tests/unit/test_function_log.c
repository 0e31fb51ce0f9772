/* A function's log keeps what was printed, whole lines only, bounded, and tells those who follow. */
#include "base/auto.h"
#include "base/crew.h"
#include "gateway/function_log.h"
#include "gateway/log_line.h"
#include "gateway/log_ring.h"

#include "testing.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#define FUNCTION "01M7XZRQKQQEHG4GB12EF0SH6B"
#define CALL_A "01M7XZRQQF8TY3MJEGB45C33HA"
#define CALL_B "01M7XZRQQF8TY3MJEGB45C33HB"
#define NOON 1738324800123ull /* 2025-01-31T12:00:00.123Z */

static char folder[] = "/tmp/magpie-log-XXXXXX";
static struct crew crew;
static struct loop loop;
static struct mailbox mailbox;
static struct function_logs logs;

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
        (void)status;
        (void)flag;
        (void)ftw;
        return remove(path);
}

static void setup(void)
{
        ck_assert_ptr_nonnull(mkdtemp(folder));
        ck_assert_int_eq(crew_init(&crew, 1, 64), 0);
        ck_assert_int_eq(loop_init(&loop), 0);
        ck_assert_int_eq(mailbox_init(&mailbox, &loop), 0);
        ck_assert_int_eq(function_logs_init(&logs, folder, &crew), 0);
}

static void teardown(void)
{
        if (logs.crew)
                crew_deinit(&crew);
        function_logs_deinit(&logs);
        mailbox_deinit(&mailbox);
        loop_deinit(&loop);
        (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct buffer read_log(struct function_log *log, const char *invocation_id, size_t line_max)
{
        struct buffer lines;

        buffer_init(&lines, 64u << 20);
        ck_assert_int_eq(function_log_read(log, invocation_id, line_max, &lines), 0);
        (void)buffer_append(&lines, "", 1);
        return lines;
}

static void expect_log(struct function_log *log, const char *invocation_id, size_t line_max,
                       const char *expected)
{
        AUTO(buffer_deinit) struct buffer lines = read_log(log, invocation_id, line_max);
        ck_assert_str_eq(lines.data, expected);
}

#define LINE(id, stream, text)                                                                     \
        "{\"time\":\"2025-01-31T12:00:00.123Z\",\"invocationId\":" id ",\"stream\":\"" stream      \
        "\",\"text\":\"" text "\"}\n"

TEST(what_was_printed_is_read_newest_first)
{
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, CALL_A, LOG_STREAM_STDOUT, SLICE("one\ntwo\r\n"), NOON);
        function_log_append(log, "", LOG_STREAM_PLATFORM, SLICE("three"), NOON);
        function_log_append(log, CALL_B, LOG_STREAM_STDERR, SLICE("\n"), NOON);
        expect_log(log, "", 10,
                   LINE("\"" CALL_B "\"", "stderr", "") LINE("null", "platform", "three")
                           LINE("\"" CALL_A "\"", "stdout", "two")
                                   LINE("\"" CALL_A "\"", "stdout", "one"));
        expect_log(log, "", 1, LINE("\"" CALL_B "\"", "stderr", ""));
        expect_log(log, CALL_A, 1, LINE("\"" CALL_A "\"", "stdout", "two"));
        expect_log(log, "01M7XZRQQF8TY3MJEGB45C33HC", 10, "");
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(whatever_bytes_are_printed_the_line_is_json_in_utf_8)
{
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, "", LOG_STREAM_STDOUT,
                            SLICE("\"\\\t\x1b[0m\x7f\0h\xc3\xa9\xff\xc3\n"), NOON);
        expect_log(log, "", 10,
                   LINE("null", "stdout",
                        "\\\"\\\\\\t\\u001b[0m\\u007f\\u0000h\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd"));
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(a_long_line_becomes_several_and_no_character_is_broken)
{
        static char text[LOG_TEXT_MAX + 100];
        struct slice rest = slice_make(text, sizeof(text)), line;

        memset(text, 'x', sizeof(text));
        memcpy(text + LOG_TEXT_MAX - 1, "\xe2\x82\xac", 3); /* a euro sign on the border */
        ck_assert(log_line_next(&rest, &line));
        ck_assert_uint_eq(line.length, LOG_TEXT_MAX - 1);
        ck_assert(log_line_next(&rest, &line));
        ck_assert_uint_eq(line.length, 101);
        ck_assert_int_eq(memcmp(line.data, "\xe2\x82\xac", 3), 0);
        ck_assert(!log_line_next(&rest, &line));
}
TEST_END

TEST(the_log_survives_its_process)
{
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, "", LOG_STREAM_STDOUT, SLICE("kept"), NOON);
        function_log_unref(log); /* the last one: it is written out */
        crew_deinit(&crew);
        logs.crew = NULL;

        log = function_log_open(&logs, FUNCTION);
        expect_log(log, "", 10, LINE("null", "stdout", "kept"));
        function_log_append(log, "", LOG_STREAM_STDOUT, SLICE("without a crew"), NOON);
        function_log_unref(log);
        log = function_log_open(&logs, FUNCTION);
        expect_log(log, "", 1, LINE("null", "stdout", "without a crew"));
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(a_removed_log_is_gone_and_keeps_nothing_more)
{
        struct function_log *log;
        char path[128];

        setup();
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, "", LOG_STREAM_STDOUT, SLICE("secret"), NOON);
        expect_log(log, "", 10, LINE("null", "stdout", "secret"));
        function_log_remove(log);
        function_log_append(log, "", LOG_STREAM_STDOUT, SLICE("late"), NOON);
        expect_log(log, "", 10, "");
        (void)snprintf(path, sizeof(path), "%s/logs/%s", folder, FUNCTION);
        ck_assert_int_ne(access(path, F_OK), 0);
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(behind_the_first_line_that_does_not_fit_none_is_tried_and_all_are_counted)
{
        static char text[65536];
        AUTO(buffer_deinit) struct buffer lines;

        memset(text, '\n', sizeof(text)); /* as many lines as bytes */
        memset(text + 1, 'x', 2000);
        text[sizeof(text) - 1] = 'x';
        buffer_init(&lines, 2000);
        ck_assert_uint_eq(log_lines_append(&lines, "", LOG_STREAM_STDOUT,
                                           slice_make(text, sizeof(text)), NOON),
                          sizeof(text) - 2000 - 1);
        ck_assert_uint_eq(lines.length, strlen(LINE("null", "stdout", "")));
}
TEST_END

/* The number in front of " lines came too fast ..." in a text that ends with NUL. */
static unsigned long count_lost(const char *lines)
{
        const char *found = strstr(lines, " lines came too fast");

        ck_assert_ptr_nonnull(found);
        while (found[-1] != '"')
                found--;
        return strtoul(found, NULL, 10);
}

static unsigned long count_of(const char *lines, const char *what)
{
        unsigned long count = 0;

        for (; (lines = strstr(lines, what)); lines++)
                count++;
        return count;
}

TEST(lines_that_come_too_fast_are_counted)
{
        static char text[2 * LOG_PENDING_BYTES];
        AUTO(buffer_deinit) struct buffer lines = {0};
        struct function_log *log;

        setup();
        memset(text, '\n', sizeof(text)); /* as many lines as bytes, at once */
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, "", LOG_STREAM_STDOUT, slice_make(text, sizeof(text)), NOON);
        lines = read_log(log, "", sizeof(text));
        ck_assert_uint_eq(count_of(lines.data, "\"stdout\"") + count_lost(lines.data),
                          sizeof(text));
        function_log_unref(log);
        teardown();
}
TEST_END

/* The ring ------------------------------------------------------------------------------------ */

static char seen[4096];

static bool see(struct slice line, void *context)
{
        size_t *left = context;

        if (*left == 0)
                return false;
        --*left;
        (void)strncat(seen, line.data, line.length);
        (void)strcat(seen, "|");
        return true;
}

static void expect_ring(const struct log_ring *ring, size_t most, const char *expected)
{
        seen[0] = '\0';
        ck_assert_int_eq(log_ring_read(ring, see, &most), 0);
        ck_assert_str_eq(seen, expected);
}

TEST(a_ring_keeps_two_segments_and_drops_the_oldest)
{
        struct log_ring ring;

        setup();
        ck_assert_int_eq(log_ring_init(&ring, folder, "ring", 8), 0);
        expect_ring(&ring, 9, "");
        ck_assert_int_eq(log_ring_write(&ring, SLICE("a\nb\n")), 0);
        ck_assert_int_eq(log_ring_write(&ring, SLICE("c\nd\n")), 0);
        expect_ring(&ring, 9, "d|c|b|a|");
        ck_assert_int_eq(log_ring_write(&ring, SLICE("e\n")), 0);
        expect_ring(&ring, 9, "e|d|c|b|a|");
        expect_ring(&ring, 2, "e|d|");
        ck_assert_int_eq(log_ring_write(&ring, SLICE("f\ng\nh\n")), 0);
        ck_assert_int_eq(log_ring_write(&ring, SLICE("i\n")), 0);
        expect_ring(&ring, 9, "i|h|g|f|e|");
        log_ring_remove(&ring);
        expect_ring(&ring, 9, "");
        log_ring_deinit(&ring);
        teardown();
}
TEST_END

TEST(half_a_line_at_the_end_is_neither_read_nor_in_the_way)
{
        struct log_ring ring;
        char path[128];

        setup();
        ck_assert_int_eq(log_ring_init(&ring, folder, "ring", 100), 0);
        ck_assert_int_eq(log_ring_write(&ring, SLICE("whole\n")), 0);
        (void)snprintf(path, sizeof(path), "%s/ring/current.ndjson", folder);
        {
                AUTO(fd_close) int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
                ck_assert_int_eq(write(fd, "ha", 2), 2); /* as a crash leaves it */
        }
        expect_ring(&ring, 9, "whole|");
        ck_assert_int_eq(log_ring_write(&ring, SLICE("next\n")), 0);
        expect_ring(&ring, 9, "next|whole|");
        log_ring_deinit(&ring);
        teardown();
}
TEST_END

/* Following ----------------------------------------------------------------------------------- */

struct watcher {
        struct log_follower follower;
        struct buffer got;
        bool more, left;
};

static void watcher_on_lines(struct log_follower *follower)
{
        struct watcher *watcher = CONTAINER_OF(follower, struct watcher, follower);
        AUTO(buffer_deinit) struct buffer lines = {0};

        watcher->more = function_log_take(follower, &lines);
        (void)buffer_append(&watcher->got, lines.data, lines.length);
}

static void watcher_on_left(struct log_follower *follower)
{
        CONTAINER_OF(follower, struct watcher, follower)->left = true;
}

static void watcher_start(struct watcher *watcher, struct function_log *log, const char *id)
{
        *watcher = (struct watcher){.follower = {.home = &mailbox,
                                                 .on_lines = watcher_on_lines,
                                                 .on_left = watcher_on_left}};
        (void)strcpy(watcher->follower.invocation_id, id);
        buffer_init(&watcher->got, 1u << 20);
        function_log_follow(log, &watcher->follower);
}

static void expect_got(struct watcher *watcher, const char *expected)
{
        (void)buffer_append(&watcher->got, "", 1);
        ck_assert_str_eq(watcher->got.data, expected);
        buffer_clear(&watcher->got);
}

TEST(who_follows_gets_what_comes_oldest_first_and_only_what_he_asked_for)
{
        struct watcher all, one;
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        function_log_append(log, CALL_A, LOG_STREAM_STDOUT, SLICE("before"), NOON);
        watcher_start(&all, log, "");
        watcher_start(&one, log, CALL_B);
        function_log_append(log, CALL_A, LOG_STREAM_STDOUT, SLICE("a"), NOON);
        function_log_append(log, CALL_B, LOG_STREAM_STDOUT, SLICE("b"), NOON);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        expect_got(&all,
                   LINE("\"" CALL_A "\"", "stdout", "a") LINE("\"" CALL_B "\"", "stdout", "b"));
        expect_got(&one, LINE("\"" CALL_B "\"", "stdout", "b"));

        function_log_append(log, CALL_B, LOG_STREAM_STDOUT, SLICE("again"), NOON);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        expect_got(&one, LINE("\"" CALL_B "\"", "stdout", "again"));
        ck_assert(one.more);

        function_log_leave(&all.follower);
        function_log_leave(&one.follower);
        ck_assert(all.left && one.left);
        buffer_deinit(&all.got);
        buffer_deinit(&one.got);
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(who_leaves_while_word_is_on_its_way_is_free_when_it_has_come)
{
        struct watcher watcher;
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        watcher_start(&watcher, log, "");
        function_log_append(log, "", LOG_STREAM_STDOUT, SLICE("a"), NOON);
        function_log_leave(&watcher.follower);
        ck_assert(!watcher.left);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert(watcher.left);
        expect_got(&watcher, "");
        buffer_deinit(&watcher.got);
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(a_slow_follower_loses_lines_and_is_told_how_many)
{
        static char text[1000];
        struct watcher watcher;
        struct function_log *log;

        setup();
        memset(text, 'x', sizeof(text));
        log = function_log_open(&logs, FUNCTION);
        watcher_start(&watcher, log, "");
        for (int i = 0; i < 2 * (int)LOG_BACKLOG_BYTES / 1000; i++)
                function_log_append(log, "", LOG_STREAM_STDOUT, slice_make(text, sizeof(text)),
                                    NOON);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        (void)buffer_append(&watcher.got, "", 1);
        ck_assert_uint_eq(count_of(watcher.got.data, "\"stdout\"") + count_lost(watcher.got.data),
                          2 * LOG_BACKLOG_BYTES / 1000);
        ck_assert_uint_lt(watcher.got.length, LOG_BACKLOG_BYTES + 1000);
        function_log_leave(&watcher.follower);
        buffer_deinit(&watcher.got);
        function_log_unref(log);
        teardown();
}
TEST_END

TEST(followers_are_told_when_nothing_will_come_any_more)
{
        struct watcher watcher;
        struct function_log *log;

        setup();
        log = function_log_open(&logs, FUNCTION);
        watcher_start(&watcher, log, "");
        watcher.more = true;
        function_logs_end_followers(&logs);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert(!watcher.more);
        function_log_leave(&watcher.follower);
        buffer_deinit(&watcher.got);

        watcher_start(&watcher, log, "");
        watcher.more = true;
        function_log_remove(log);
        ck_assert_int_eq(loop_turn(&loop, 1000), 0);
        ck_assert(!watcher.more);
        function_log_leave(&watcher.follower);
        buffer_deinit(&watcher.got);
        function_log_unref(log);
        teardown();
}
TEST_END

TEST_MAIN("function_log", what_was_printed_is_read_newest_first,
          whatever_bytes_are_printed_the_line_is_json_in_utf_8,
          a_long_line_becomes_several_and_no_character_is_broken, the_log_survives_its_process,
          a_removed_log_is_gone_and_keeps_nothing_more,
          behind_the_first_line_that_does_not_fit_none_is_tried_and_all_are_counted,
          lines_that_come_too_fast_are_counted, a_ring_keeps_two_segments_and_drops_the_oldest,
          half_a_line_at_the_end_is_neither_read_nor_in_the_way,
          who_follows_gets_what_comes_oldest_first_and_only_what_he_asked_for,
          who_leaves_while_word_is_on_its_way_is_free_when_it_has_come,
          a_slow_follower_loses_lines_and_is_told_how_many,
          followers_are_told_when_nothing_will_come_any_more)
