/* Handlers for test_native.py and test_native_ring.py; the first word of the body says which, the rest is
 * for it. */
#include "magpie.h"

#include <signal.h>
#include <sys/wait.h>

static void show(struct magpie_request *request, struct magpie_response *response)
{
        const char *name, *value, *agent = magpie_header(request, "User-Agent");
        size_t position = 0;

        magpie_set_status(response, 203);
        magpie_set_header(response, "content-type", "text/plain");
        magpie_set_header(response, "X-Twice", "a");
        magpie_set_header(response, "X-Twice", "b");
        magpie_print(response, "%s|%s|%s|%s|%s|%s|%s|%s\n", request->invocation_id,
                     request->user_id, request->method, request->path, request->query,
                     request->address, request->domain, agent ? agent : "(none)");
        while (magpie_next_header(request, &position, &name, &value))
                magpie_print(response, "%s=%s\n", name, value);
        magpie_print(response, "%d", magpie_remaining_ms(request) > 1000);
}

static void stream(struct magpie_response *response)
{
        magpie_print(response, "one");
        magpie_flush(response);
        magpie_flush(response);
        magpie_print(response, "two");
        magpie_flush(response);
}

static void fill(struct magpie_response *response, long long count)
{
        char piece[10007];

        memset(piece, 'f', sizeof(piece));
        for (; count > (long long)sizeof(piece); count -= (long long)sizeof(piece))
                magpie_write(response, piece, sizeof(piece));
        magpie_write(response, piece, (size_t)count);
}

static bool has_ring(void)
{
        FILE *maps = fopen("/proc/self/maps", "r");
        char line[512];
        bool found = false;

        while (maps && fgets(line, sizeof(line), maps))
                found = found || strstr(line, "/memfd:");
        if (maps)
                (void)fclose(maps);
        return found;
}

static void fork_child(struct magpie_response *response, const char *how)
{
        int status = 0;
        pid_t pid;

        if (strcmp(how, "after failing") == 0)
                magpie_fail(response, "OddError", "before the child");
        pid = fork();
        if (pid == 0)
                printf("in the child%s\n", has_ring() ? ", which has a ring" : "");
        else
                (void)waitpid(pid, &status, 0);
        if (pid != 0 && status != 0)
                printf("it ended with %d\n", status);
        if (pid != 0 && strcmp(how, "and stop") == 0)
                (void)raise(SIGSTOP);
        magpie_print(response, "%s", pid == 0 ? "the child" : "the parent");
}

static void spin(long us)
{
        struct timespec start, now;

        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        do
                (void)clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < us);
}

static void long_headers(struct magpie_response *response)
{
        static char value[30001];

        memset(value, 'v', sizeof(value) - 1);
        magpie_set_header(response, "a", value);
        magpie_set_header(response, "b", value);
}

static void misuse(struct magpie_response *response, const char *how)
{
        if (strcmp(how, "status") == 0)
                magpie_set_status(response, 99);
        else if (strcmp(how, "late status") == 0)
                magpie_print(response, "x"), magpie_set_status(response, 200);
        else if (strcmp(how, "late header") == 0)
                magpie_print(response, "x"), magpie_set_header(response, "a", "b");
        else if (strcmp(how, "line break") == 0)
                magpie_set_header(response, "a", "b\r\nc: d");
        else if (strcmp(how, "name") == 0)
                magpie_set_header(response, "a b", "c");
        else if (strcmp(how, "no name") == 0)
                magpie_set_header(response, "", "c");
        else if (strcmp(how, "long headers") == 0)
                long_headers(response);
        magpie_print(response, "this is dropped");
        magpie_set_status(response, 200);
        magpie_set_header(response, "late", "too");
        magpie_flush(response);
}

static void fail(struct magpie_response *response, const char *how)
{
        static char message[20001];

        printf("printed before");
        if (strcmp(how, "after writing") == 0)
                magpie_print(response, "dropped");
        if (strcmp(how, "midway") == 0) {
                magpie_print(response, "begun");
                magpie_flush(response);
        }
        for (size_t i = 0; i + 1 < sizeof(message); i += 2)
                memcpy(message + i, "\xc3\xbc", 2);
        magpie_fail(response, "OddError",
                    strcmp(how, "long") == 0 ? message
                                             : "with \"quotes\", \\, \n and \x01 \xc3\xbc");
        magpie_fail(response, "Second", "is not sent");
}

static void read_some(struct magpie_request *request, struct magpie_response *response)
{
        char two[2];
        size_t length = magpie_read(request, two, sizeof(two));

        magpie_write(response, two, length);
}

static void whole_body(struct magpie_request *request, struct magpie_response *response)
{
        size_t length, again;
        const char *body = magpie_body(request, &length);

        (void)magpie_body(request, &again);
        magpie_print(response, "%zu %zu %d %zu ", length, strlen(body), body[length] == '\0',
                     again);
        magpie_write(response, body, length);
}

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        char word[16];
        char rest[64];
        size_t length = 0;

        while (length + 1 < sizeof(word) && magpie_read(request, word + length, 1) == 1 &&
               word[length] != ' ')
                length++;
        word[length] = '\0';
        if (strcmp(word, "whole") == 0) {
                whole_body(request, response);
                return;
        }
        if (strcmp(word, "some") == 0) {
                read_some(request, response);
                return;
        }
        length = magpie_read(request, rest, sizeof(rest) - 1);
        rest[length] = '\0';

        if (strcmp(word, "show") == 0)
                show(request, response);
        else if (strcmp(word, "stream") == 0)
                stream(response);
        else if (strcmp(word, "fill") == 0)
                fill(response, atoll(rest));
        else if (strcmp(word, "fork") == 0)
                fork_child(response, rest);
        else if (strcmp(word, "misuse") == 0)
                misuse(response, rest);
        else if (strcmp(word, "fail") == 0)
                fail(response, rest);
        else if (strcmp(word, "print") == 0)
                magpie_print(response, "%2000d|%s", 7, rest);
        else if (strcmp(word, "sleep") == 0)
                (void)usleep((useconds_t)atoi(rest) * 1000);
        else if (strcmp(word, "spin") == 0)
                spin(atol(rest));
        else if (strcmp(word, "stop") == 0)
                (void)raise(SIGSTOP);
        else if (strcmp(word, "log") == 0)
                printf("half a line");
        else if (strcmp(word, "exit") == 0)
                exit(7);
        else if (strcmp(word, "crash") == 0)
                printf("a line\n"), abort();
        else if (strcmp(word, "close") == 0)
                (void)close(3);
        else if (strcmp(word, "child") == 0)
                magpie_print(response, "%d", system("test -e /proc/self/fd/3"));
}

int main(void)
{
        return magpie_serve(handle);
}
