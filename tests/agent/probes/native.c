/* A native function for tests: speaks the worker protocol by hand, the payload says what to do. With an
 * argument that says so instead, and the answer goes to standard output. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INVOKE = 1, READY = 3, RESULT = 4 };
#define NOBODY 0 /* no invocation has this number */

struct header {
        uint8_t type, flags;
        uint16_t meta_length;
        uint32_t id;
        uint64_t value;
};

static char frame[65536];

static void answer(uint32_t id, const char *text)
{
        struct header header = {.type = RESULT, .flags = 1, .id = id};
        size_t length = strlen(text);

        if (id == NOBODY) {
                fputs(text, stdout);
                return;
        }
        char out[sizeof(header) + length];

        memcpy(out, &header, sizeof(header));
        memcpy(out + sizeof(header), text, length);
        if (send(3, out, sizeof(out), MSG_NOSIGNAL) < 0)
                _exit(9);
}

static void list_descriptors(char *text, size_t capacity)
{
        size_t used = 0;

        /* All that close(2) could know, without opening /proc. */
        for (int fd = 0; fd < 4096; fd++) {
                char path[64], link[256];
                struct stat status;
                if (fstat(fd, &status) < 0)
                        continue;
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                ssize_t length = readlink(path, link, sizeof(link) - 1);
                link[length < 0 ? 0 : length] = '\0';
                used += (size_t)snprintf(text + used, capacity - used, "%d %s\n", fd, link);
        }
}

static void eat_memory(void)
{
        for (;;) {
                char *block = malloc(1 << 20);
                if (block)
                        memset(block, 1, 1 << 20);
        }
}

static void *sleep_forever(void *unused)
{
        while (!unused)
                pause();
        return unused;
}

static void count_threads(char *text, size_t capacity)
{
        pthread_attr_t attributes;
        pthread_t thread;
        int count = 0;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 16384);
        while (count < 10000 && pthread_create(&thread, &attributes, sleep_forever, NULL) == 0)
                count++;
        snprintf(text, capacity, "%d", count);
}

static void count_descriptors(char *text, size_t capacity)
{
        int count = 0;

        while (dup(0) >= 0)
                count++;
        snprintf(text, capacity, "%d", count);
}

static void count_children(char *text, size_t capacity)
{
        int count = 0;

        for (;;) {
                pid_t child = fork();
                if (child < 0)
                        break;
                if (child == 0)
                        sleep_forever(NULL);
                count++;
        }
        snprintf(text, capacity, "%d", count);
}

static void bomb(void)
{
        for (;;)
                (void)!fork();
}

static void flood(void)
{
        static char noise[65536];

        memset(noise, 'x', sizeof(noise));
        for (;;)
                if (write(1, noise, sizeof(noise)) < 0)
                        _exit(8);
}

static void talk_nonsense(void)
{
        for (int i = 0; i < 100; i++)
                if (send(3, frame, (size_t)i, MSG_NOSIGNAL) < 0)
                        break;
}

static void run(uint32_t id, char *command)
{
        static char text[65536 - sizeof(struct header)];

        text[0] = '\0';
        if (strcmp(command, "descriptors") == 0)
                list_descriptors(text, sizeof(text));
        else if (strncmp(command, "exit ", 5) == 0)
                _exit(atoi(command + 5));
        else if (strncmp(command, "signal ", 7) == 0)
                kill(getpid(), atoi(command + 7));
        else if (strcmp(command, "crash") == 0)
                *(volatile int *)8 = 1;
        else if (strcmp(command, "memory") == 0)
                eat_memory();
        else if (strcmp(command, "memory of a child") == 0) {
                if (fork() == 0)
                        eat_memory();
                wait(NULL);
        } else if (strcmp(command, "threads") == 0)
                count_threads(text, sizeof(text));
        else if (strcmp(command, "open") == 0)
                count_descriptors(text, sizeof(text));
        else if (strcmp(command, "children") == 0)
                count_children(text, sizeof(text));
        else if (strcmp(command, "bomb") == 0)
                bomb();
        else if (strcmp(command, "flood") == 0)
                flood();
        else if (strcmp(command, "nonsense") == 0)
                talk_nonsense();
        else if (strcmp(command, "hang up") == 0) {
                close(3);
                sleep_forever(NULL);
        } else if (strcmp(command, "orphan") == 0) {
                if (fork() == 0) {
                        if (fork() > 0)
                                _exit(0);
                        setsid();
                        sleep_forever(NULL);
                }
                wait(NULL);
        } else
                snprintf(text, sizeof(text), "%s", command);
        answer(id, text);
}

int main(int argc, char **argv)
{
        struct header header = {.type = READY};

        if (argc > 1) {
                run(NOBODY, argv[1]);
                return 0;
        }

        if (send(3, &header, sizeof(header), MSG_NOSIGNAL) < 0)
                return 9;
        for (;;) {
                ssize_t length = recv(3, frame, sizeof(frame) - 1, 0);
                if (length < (ssize_t)sizeof(header))
                        return 0;
                frame[length] = '\0';
                memcpy(&header, frame, sizeof(header));
                if (header.type == INVOKE)
                        run(header.id, frame + sizeof(header) + header.meta_length);
        }
}
