/* What a scout has written to, later copies have to themselves. */
#include "../../runtimes/birth/foresight.h"
#include "../../runtimes/birth/scout.h"

#include "testing.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 1300 /* more than are looked at in one go */
#define MAPPED_ONCE (1ull << 56)

static unsigned char *memory;
static size_t page;

static void make_memory(void)
{
        page = (size_t)getpagesize();
        memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
        ck_assert_ptr_ne(memory, MAP_FAILED);
        (void)madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
        memset(memory, 'm', PAGES * page);
}

/* Does no other process have it mapped? */
static bool is_own(size_t number)
{
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        uint64_t entry = 0;
        off_t at = (off_t)(((uintptr_t)memory / page + number) * sizeof(entry));
        bool has_read = pread(fd, &entry, sizeof(entry), at) == sizeof(entry);

        (void)close(fd);
        return has_read && (entry & MAPPED_ONCE);
}

/* A copy that writes to these pages, and rests until it has been looked at. */
static void try_out(const size_t *pages, size_t count, bool is_there)
{
        int fds[2];
        pid_t scout;
        char byte = 0;

        ck_assert_int_eq(pipe(fds), 0);
        scout = fork();
        ck_assert_int_ge(scout, 0);
        if (scout == 0) {
                for (size_t i = 0; i < count; i++)
                        memory[pages[i] * page] = 's';
                if (is_there && write(fds[1], &byte, 1) == 1)
                        (void)pause();
                _exit(0);
        }
        (void)close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), is_there);
        (void)close(fds[0]);
        if (is_there)
                foresight_learn(scout);
        ck_assert_int_eq(kill(scout, SIGKILL), 0);
        ck_assert_int_eq(waitpid(scout, NULL, 0), scout);
        if (!is_there)
                foresight_learn(scout);
}

/* How many pages are a later copy's own; -1 where one is not as it was. */
static int count_own(void)
{
        pid_t copy = fork();
        int status;

        ck_assert_int_ge(copy, 0);
        if (copy == 0) {
                int own = 0;
                foresight_use();
                for (size_t i = 0; i < PAGES; i++) {
                        own += is_own(i);
                        if (memory[i * page] != 'm' || memory[(i + 1) * page - 1] != 'm')
                                _exit(255);
                }
                _exit(own < 254 ? own : 254);
        }
        ck_assert_int_eq(waitpid(copy, &status, 0), copy);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

TEST(a_later_copy_has_what_the_scout_wrote_to_for_itself)
{
        static const size_t pages[] = {0, 3, 4, 5, 511, 512, 1023, 1025, PAGES - 1};

        make_memory();
        try_out(pages, sizeof(pages) / sizeof(pages[0]), true);
        ck_assert_int_eq(count_own(), sizeof(pages) / sizeof(pages[0]));
        for (size_t i = 0; i < PAGES; i++)
                ck_assert_int_eq(memory[i * page], 'm');
}
TEST_END

TEST(a_scout_that_is_gone_teaches_nothing)
{
        static const size_t pages[] = {3, 4};

        make_memory();
        try_out(pages, 2, false);
        ck_assert_int_eq(count_own(), 0);
}
TEST_END

TEST(what_cannot_be_written_to_any_more_is_passed_over)
{
        static const size_t pages[] = {7, 9, 11};

        make_memory();
        try_out(pages, 3, true);
        ck_assert_int_eq(mprotect(memory + 9 * page, page, PROT_READ), 0);
        ck_assert_int_eq(count_own(), 2);
        ck_assert_int_eq(munmap(memory + 9 * page, page), 0);
        foresight_use();
}
TEST_END

static int settles;

static int settle(void)
{
        return settles;
}

/* In the scout, which answers its two frames in this way, and ends where there is none. */
static void act(const unsigned char *answers, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                unsigned char frame[64] = {0};
                if (answers[i] != WORKER_LOG && recv(WORKER_FD, frame, sizeof(frame), 0) <= 0)
                        _exit(1);
                if (frame[0] == WORKER_INVOKE)
                        memory[0] = 's';
                frame[0] = answers[i];
                if (send(WORKER_FD, frame, WORKER_HEADER_SIZE, MSG_NOSIGNAL) < 0)
                        _exit(1);
        }
        if (count > 0)
                (void)pause();
        _exit(0);
}

/* What the nursery has to say of it. */
static void send_scout(const unsigned char *answers, size_t count, char ret_said[128])
{
        static const unsigned char boot[WORKER_HEADER_SIZE] = {WORKER_BOOT},
                                   call[WORKER_HEADER_SIZE] = {WORKER_INVOKE};
        const struct birth_ways ways = {.copy = fork, .settle = settle};
        const struct scout_errand errand = {boot, call, sizeof(boot), sizeof(call)};
        int kept = dup(STDERR_FILENO), fds[2];
        ssize_t length;

        ck_assert_int_eq(pipe(fds), 0);
        ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
        (void)close(fds[1]);
        if (scout_send(&ways, &errand))
                act(answers, count);
        ck_assert_int_eq(dup2(kept, STDERR_FILENO), STDERR_FILENO);
        (void)close(kept);
        length = read(fds[0], ret_said, 127);
        ck_assert_int_ge(length, 0);
        ret_said[length] = '\0';
        (void)close(fds[0]);
}

TEST(a_nursery_learns_of_its_scouts_first_call)
{
        static const unsigned char answers[] = {WORKER_LOG, WORKER_READY, WORKER_LOG,
                                                WORKER_RESULT};
        char said[128];

        make_memory();
        send_scout(answers, sizeof(answers), said);
        ck_assert_str_eq(said, "");
        ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
        ck_assert_int_eq(count_own(), 1);
}
TEST_END

TEST(a_scout_that_fails_teaches_nothing_and_the_nursery_says_where)
{
        static const struct {
                unsigned char answers[2];
                size_t count;
                int settles;
                const char *said;
        } cases[] = {
                {{0}, 0, 0, "the nursery's scout: loading the stand-in failed\n"},
                {{WORKER_READY, WORKER_RESULT},
                 2,
                 -EPERM,
                 "the nursery's scout: loading the stand-in failed\n"},
                {{WORKER_RESULT}, 1, 0, "the nursery's scout: loading the stand-in failed\n"},
                {{WORKER_READY, WORKER_ERROR},
                 2,
                 0,
                 "the nursery's scout: calling the stand-in failed\n"},
        };
        char said[128];

        make_memory();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                settles = cases[i].settles;
                send_scout(cases[i].answers, cases[i].count, said);
                ck_assert_str_eq(said, cases[i].said);
                ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
                ck_assert_int_eq(count_own(), 0);
        }
}
TEST_END

TEST_MAIN("foresight", a_later_copy_has_what_the_scout_wrote_to_for_itself,
          a_scout_that_is_gone_teaches_nothing, what_cannot_be_written_to_any_more_is_passed_over,
          a_nursery_learns_of_its_scouts_first_call,
          a_scout_that_fails_teaches_nothing_and_the_nursery_says_where)
