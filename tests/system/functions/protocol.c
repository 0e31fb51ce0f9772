/* A native function that speaks the worker protocol by hand, to break it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INVOKE = 1, DATA, READY, RESULT, ERROR, LOG };
enum { END = 1 };

struct header {
        uint8_t type, flags;
        uint16_t meta_length;
        uint32_t id;
        uint64_t value;
};

static char frame[65536];

static void say(uint8_t type, uint8_t flags, uint32_t id, uint64_t value, const char *meta,
                const char *payload)
{
        struct header header = {type, flags, (uint16_t)strlen(meta), id, value};
        char out[1024];
        size_t length = sizeof(header);

        memcpy(out, &header, length);
        memcpy(out + length, meta, strlen(meta));
        length += strlen(meta);
        memcpy(out + length, payload, strlen(payload));
        length += strlen(payload);
        if (send(3, out, length, MSG_NOSIGNAL) < 0)
                _exit(9);
}

/* Returns only where a proper answer is still to come. */
static void misbehave(uint32_t id, const char *command)
{
        if (strcmp(command, "short frame") == 0)
                (void)!send(3, "abc", 3, MSG_NOSIGNAL);
        else if (strcmp(command, "unknown type") == 0)
                say(77, END, id, 0, "", "");
        else if (strcmp(command, "unknown flag") == 0)
                say(RESULT, 0x80 | END, id, 0, "", "");
        else if (strcmp(command, "gateway's type") == 0)
                say(INVOKE, END, id, 0, "", "");
        else if (strcmp(command, "unknown id") == 0)
                say(RESULT, END, id + 1000, 0, "", "forged");
        else if (strcmp(command, "ready again") == 0)
                say(READY, 0, 0, 0, "", "");
        else if (strcmp(command, "data first") == 0)
                say(DATA, END, id, 0, "", "");
        else if (strcmp(command, "status 99") == 0)
                say(RESULT, END, id, 99, "", "");
        else if (strcmp(command, "status 700") == 0)
                say(RESULT, END, id, 700, "", "");
        else if (strcmp(command, "split header") == 0)
                say(RESULT, END, id, 200, "a:b\r\n", "");
        else if (strcmp(command, "no header") == 0)
                say(RESULT, END, id, 200, "nothing\n", "");
        else if (strcmp(command, "log of nobody") == 0)
                say(LOG, 0, id + 1000, 1, "", "text\n");
        else if (strcmp(command, "close") == 0)
                (void)close(3);
        else if (strcmp(command, "shut") == 0)
                (void)shutdown(3, SHUT_RDWR);
        else if (strcmp(command, "silence") != 0)
                return;
        for (;;)
                pause();
}

static double seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void log_text(size_t size, size_t meta)
{
        static char out[65536];
        const struct header header = {.type = LOG, .meta_length = (uint16_t)meta, .value = 1};

        memcpy(out, &header, sizeof(header));
        memset(out + sizeof(header), 'x', size);
        if (send(3, out, sizeof(header) + size, MSG_NOSIGNAL) < 0)
                _exit(9);
}

/* "flood SIZE META": LOG frames of SIZE bytes, of which META are a meta that nobody wants, for half a second;
 * the answer says how many. */
static void flood(uint32_t id, size_t size, size_t meta)
{
        double end = seconds() + 0.5;
        unsigned long sent = 0;
        char text[32];

        for (; seconds() < end; sent++)
                log_text(size, meta);
        (void)snprintf(text, sizeof(text), "%lu", sent);
        say(RESULT, END, id, 0, "", text);
}

/* "dribble": an answer in pieces of nothing for half a second, then how many there were. */
static void dribble(uint32_t id)
{
        double end = seconds() + 0.5;
        unsigned long sent = 0;
        char text[32];

        say(RESULT, 0, id, 0, "", "");
        for (; seconds() < end; sent++)
                say(DATA, 0, id, 0, "", "");
        (void)snprintf(text, sizeof(text), "%lu", sent);
        say(DATA, END, id, 0, "", text);
}

/* "deaf": half an answer; a while later there is no way in any more. The rest of the body stays where it is. */
static void go_deaf(uint32_t id)
{
        const struct timespec time = {.tv_nsec = 300000000};

        say(RESULT, 0, id, 0, "", "half");
        (void)nanosleep(&time, NULL);
        (void)shutdown(3, SHUT_RD);
        for (;;)
                pause();
}

/* More of the body; its flags. */
static uint8_t receive_more(void)
{
        struct header header;
        ssize_t length = recv(3, frame, sizeof(frame) - 1, 0);

        if (length < (ssize_t)sizeof(header))
                _exit(0);
        frame[length] = '\0';
        memcpy(&header, frame, sizeof(header));
        return header.flags;
}

static void stop_at(const char *piece)
{
        do
                (void)receive_more();
        while (strcmp(frame + sizeof(struct header), piece) != 0);
        raise(SIGSTOP);
}

/* "stop": reads the body up to a piece "now", and stops; let go on it answers, and stops again. */
static void stop(uint32_t id)
{
        stop_at("now");
        say(RESULT, END, id, 0, "", "stopped");
        raise(SIGSTOP);
}

/* "sip": the same, but then it reads a little and stops, and reads the rest and answers and stops. */
static void sip(uint32_t id)
{
        stop_at("now");
        for (int i = 0; i < 50; i++)
                (void)receive_more();
        raise(SIGSTOP);
        while (!(receive_more() & END))
                ;
        say(RESULT, END, id, 0, "", "sipped");
        raise(SIGSTOP);
}

/* "print": stops, and when it is let go on, prints by hand, answers, and stops again. */
static void print(uint32_t id)
{
        raise(SIGSTOP);
        (void)!write(1, "by hand\n", 8);
        say(RESULT, END, id, 0, "", "printed");
        raise(SIGSTOP);
}

static void run(uint32_t id, const char *command)
{
        if (strncmp(command, "deaf", 4) == 0)
                go_deaf(id);
        if (strcmp(command, "dribble") == 0) {
                dribble(id);
                return;
        }
        if (strncmp(command, "flood ", 6) == 0) {
                char *rest;
                size_t size = strtoul(command + 6, &rest, 10);
                flood(id, size, strtoul(rest, NULL, 10));
                return;
        }
        if (strcmp(command, "stop") == 0) {
                stop(id);
                return;
        }
        if (strcmp(command, "sip") == 0) {
                sip(id);
                return;
        }
        if (strcmp(command, "print") == 0) {
                print(id);
                return;
        }
        misbehave(id, command);
        if (strcmp(command, "spill") == 0)
                log_text(65520, 0);
        say(RESULT, END, id, 0, "", command);
        if (strcmp(command, "twice") == 0)
                say(RESULT, END, id, 0, "", "again");
        if (strcmp(command, "data after the end") == 0)
                say(DATA, END, id, 0, "", "again");
}

/* READY's value is what the variable START says. */
int main(void)
{
        const char *start = getenv("START");
        struct header header;

        say(READY, 0, 0, start ? strtoull(start, NULL, 10) : 0, "", "");
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
