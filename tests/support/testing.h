/* Small conveniences over Check: a test is a sentence, a suite is a list of them.
 *
 *     TEST(a_timer_is_not_early) { ... ck_assert(...); }
 *     TEST_MAIN("wheel", a_timer_is_not_early, ...)
 *
 * Check forks each test, so a crash is one failure. TEST_MAIN writes TAP to the file that
 * CK_TAP_LOG_FILE_NAME names, like any Check program.
 */
#pragma once

#include <check.h>
#include <stdlib.h>

#define TEST(name) START_TEST(name)
#define TEST_END END_TEST

#define TEST_MAIN(title, ...)                                                                      \
        int main(void)                                                                             \
        {                                                                                          \
                const TTest *const tests[] = {__VA_ARGS__};                                        \
                Suite *suite = suite_create(title);                                                \
                TCase *group = tcase_create(title);                                                \
                SRunner *runner;                                                                   \
                int failed;                                                                        \
                tcase_set_timeout(group, 60);                                                      \
                for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                      \
                        tcase_add_test(group, tests[i]);                                           \
                suite_add_tcase(suite, group);                                                     \
                runner = srunner_create(suite);                                                    \
                srunner_run_all(runner, CK_NORMAL);                                                \
                failed = srunner_ntests_failed(runner);                                            \
                srunner_free(runner);                                                              \
                return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                  \
        }
