/* Errors carry a code and a sentence; the log carries a line. */
#include "base/err.h"
#include "base/log.h"

#include "testing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

TEST(an_error_has_its_code_and_its_sentence)
{
        struct err err = {0};

        ck_assert_int_eq(err_set(&err, -ENOENT, "opening '%s'", "a"), -ENOENT);
        ck_assert_int_eq(err.code, -ENOENT);
        ck_assert_str_eq(err.text, "opening 'a'");
}
TEST_END

TEST(the_words_of_errno_follow_the_sentence)
{
        struct err err = {0};

        ck_assert_int_eq(err_errno(&err, -ENOENT, "opening '%s'", "a"), -ENOENT);
        ck_assert_str_eq(err.text, "opening 'a': No such file or directory");
}
TEST_END

TEST(a_context_goes_in_front)
{
        struct err err = {0};

        (void)err_set(&err, -EINVAL, "no colon");
        err_prefix(&err, "line %d", 3);
        err_prefix(&err, "%s", "file");
        ck_assert_str_eq(err.text, "file: line 3: no colon");
        ck_assert_int_eq(err.code, -EINVAL);
}
TEST_END

TEST(an_error_that_nobody_reads_is_only_its_code)
{
        ck_assert_int_eq(err_set(NULL, -EINVAL, "x"), -EINVAL);
        ck_assert_int_eq(err_errno(NULL, -EINVAL, "x"), -EINVAL);
        err_prefix(NULL, "x");
}
TEST_END

TEST(a_sentence_that_is_too_long_is_cut)
{
        for (size_t length = ERR_TEXT_MAX - 40; length < ERR_TEXT_MAX + 40; length++) {
                char text[ERR_TEXT_MAX + 40];
                struct err err = {0};

                memset(text, 'x', length);
                text[length] = '\0';
                size_t kept = length < ERR_TEXT_MAX ? length : ERR_TEXT_MAX - 1;
                (void)err_set(&err, -EINVAL, "%s", text);
                ck_assert_uint_eq(strlen(err.text), kept);
                (void)err_errno(&err, -EINVAL, "%s", text);
                ck_assert_uint_lt(strlen(err.text), ERR_TEXT_MAX);
                ck_assert_uint_ge(strlen(err.text), kept);
                (void)err_set(&err, -EINVAL, "tail");
                err_prefix(&err, "%s", text);
                ck_assert_uint_lt(strlen(err.text), ERR_TEXT_MAX);
                ck_assert_uint_ge(strlen(err.text), kept);
                (void)err_set(&err, -EINVAL, "%s", text);
                err_prefix(&err, "head");
                ck_assert_uint_lt(strlen(err.text), ERR_TEXT_MAX);
                ck_assert_int_eq(strncmp(err.text, "head: xxx", 9), 0);
        }
}
TEST_END

/* What a log_line() at this level writes to stderr; at most one line. */
static const char *logged(enum log_level level, const char *text)
{
        static char line[4096];
        int pipes[2], kept = dup(STDERR_FILENO);
        ssize_t length;

        ck_assert_int_eq(pipe(pipes), 0);
        ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
        log_line(level, "%s", text);
        ck_assert_int_ge(dup2(kept, STDERR_FILENO), 0);
        (void)close(kept);
        (void)close(pipes[1]);
        length = read(pipes[0], line, sizeof(line) - 1);
        ck_assert_int_ge(length, 0);
        line[length] = '\0';
        (void)close(pipes[0]);
        return line;
}

TEST(a_log_line_has_its_level_and_its_program)
{
        log_setup("tester", LOG_WARN);
        ck_assert_str_eq(logged(LOG_ERROR, "a"), "error tester: a\n");
        ck_assert_str_eq(logged(LOG_WARN, "b"), "warn  tester: b\n");
        ck_assert_str_eq(logged(LOG_INFO, "c"), "");
        ck_assert_str_eq(logged(LOG_DEBUG, "d"), "");
}
TEST_END

TEST(a_log_line_that_is_too_long_is_cut_and_still_a_line)
{
        char text[3000];
        const char *line;

        log_setup("tester", LOG_INFO);
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        line = logged(LOG_INFO, text);
        ck_assert_uint_gt(strlen(line), 900);
        ck_assert_uint_lt(strlen(line), 1025);
        ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
TEST_END

TEST_MAIN("err", an_error_has_its_code_and_its_sentence, the_words_of_errno_follow_the_sentence,
          a_context_goes_in_front, an_error_that_nobody_reads_is_only_its_code,
          a_sentence_that_is_too_long_is_cut, a_log_line_has_its_level_and_its_program,
          a_log_line_that_is_too_long_is_cut_and_still_a_line)
