/* shim_client: the gateway's side of the worker protocol, as fast as it goes, for shim_rate.py.
 *
 *     shim_client event|http DEPTH COUNT PROGRAM [ARGUMENT...]
 *
 * Starts PROGRAM with a connection on descriptor 3, keeps DEPTH requests pushed ahead until COUNT
 * are answered, and prints one line of JSON: answers a second, and the worker's own CPU time for an
 * answer, in microseconds. The worker's CPU time is the steadier figure on a busy machine. */
#include "wire/worker_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP 2000

static const char event_meta[] = "01HZZZZZZZZZZZZZZZZZZZZZZZ\n01HYYYYYYYYYYYYYYYYYYYYYYY\n";
static const char http_meta[] = "01HZZZZZZZZZZZZZZZZZZZZZZZ\n01HYYYYYYYYYYYYYYYYYYYYYYY\n"
                                "POST\n/\n\n127.0.0.1\nlocalhost\n"
                                "host:localhost:8080\ncontent-type:application/json\n"
                                "user-agent:bench/1\naccept:*/*\n";
static const char body[] = "{\"name\":\"magpie\"}";

static void die(const char *what)
{
        perror(what);
        exit(1);
}

static double seconds_of(clockid_t clock)
{
        struct timespec now;

        if (clock_gettime(clock, &now) < 0)
                die("clock_gettime");
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static pid_t start(char *const command[], int *ret_socket)
{
        int pair[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                die("socketpair");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                if (dup2(pair[1], WORKER_FD) < 0)
                        die("dup2");
                (void)execv(command[0], command);
                die(command[0]);
        }
        (void)close(pair[1]);
        *ret_socket = pair[0];
        return pid;
}

/* Ends the program where the next frame is not what it must be. */
static void expect(int fd, enum worker_frame_type type)
{
        static char message[WORKER_FRAME_MAX];
        struct worker_frame frame;
        ssize_t length = recv(fd, message, sizeof(message), 0);

        if (length < 0)
                die("recv");
        if (worker_frame_decode(message, (size_t)length, &frame) < 0 || frame.type != type) {
                fprintf(stderr, "not what was expected: %.*s\n", (int)length, message);
                exit(1);
        }
}

static void serve(int fd, const struct slice meta, int depth, int count)
{
        static char message[WORKER_FRAME_MAX];
        struct worker_frame frame = {.type = WORKER_INVOKE, .flags = WORKER_FLAG_END, .meta = meta};
        size_t length = WORKER_HEADER_SIZE + meta.length + sizeof(body) - 1;
        int sent = 0;

        if (meta.data == http_meta)
                frame.flags |= WORKER_FLAG_HTTP;
        frame.value = ((uint64_t)time(NULL) + 30) * 1000;
        memcpy(message + WORKER_HEADER_SIZE, meta.data, meta.length);
        memcpy(message + WORKER_HEADER_SIZE + meta.length, body, sizeof(body) - 1);
        for (int answered = 0; answered < count; answered++) {
                /* Half of them at once, as the gateway flushes once per loop turn. */
                while (sent < count && (sent == 0 || sent - answered <= depth / 2))
                        for (int i = 0; i < (depth + 1) / 2 && sent < count; i++, sent++) {
                                frame.id++;
                                worker_frame_encode_header(&frame, message);
                                if (send(fd, message, length, MSG_NOSIGNAL) < 0)
                                        die("send");
                        }
                expect(fd, WORKER_RESULT);
        }
}

int main(int argc, char **argv)
{
        struct slice meta = SLICE(event_meta);
        double began, began_cpu, took, took_cpu;
        clockid_t cpu;
        int fd, depth, count;
        pid_t pid;

        if (argc < 5)
                return 2;
        if (strcmp(argv[1], "http") == 0)
                meta = SLICE(http_meta);
        depth = atoi(argv[2]);
        count = atoi(argv[3]);
        pid = start(argv + 4, &fd);
        expect(fd, WORKER_READY);
        serve(fd, meta, depth, WARM_UP);

        if (clock_getcpuclockid(pid, &cpu) != 0)
                die("clock_getcpuclockid");
        began_cpu = seconds_of(cpu);
        began = seconds_of(CLOCK_MONOTONIC);
        serve(fd, meta, depth, count);
        took = seconds_of(CLOCK_MONOTONIC) - began;
        took_cpu = seconds_of(cpu) - began_cpu;
        printf("{\"rate\":%.0f,\"cpu_us\":%.2f}\n", count / took, took_cpu / count * 1e6);

        (void)close(fd);
        (void)waitpid(pid, NULL, 0);
        return 0;
}
