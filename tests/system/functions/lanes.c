/* A native function that speaks the worker protocol with lanes, a thread each, and does what its
 * payload says. What it says of itself: "INSTANCE OPEN MOST CALLS", a number that no other instance
 * has, how many lanes are open and were at most, and the most calls at once. With -DTRUNKS it takes
 * trunks, too, and a call that came by one is answered by it where the answer is whole. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { INVOKE = 1, DATA, READY, RESULT, ERROR, LOG, LANE = 9, TRUNK };
enum { END = 1, LANES = 4, TAKES_TRUNKS = 8 };
enum { TRUNKS_MAX = 8, PLACES_MAX = 512 };
enum { FRAME_MAX = 65536 };

struct header {
        uint8_t type, flags;
        uint16_t meta_length;
        uint32_t id;
        uint64_t value;
};

/* A call under way on a lane. */
struct call {
        int fd;
        int trunk; /* that it came by; 0: by the lane itself */
        uint32_t place;
        uint32_t id;
        bool has_more;    /* of its body */
        bool lane_closed; /* by ourselves */
        size_t length;
        char *payload;
        char frame[FRAME_MAX + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned instance, lanes_open, lanes_most, calls, calls_most, meeting, meetings, releases;
static unsigned broken;                     /* answers that nobody took any more */
static unsigned by_trunk;                   /* calls */
static atomic_long trunk_rest_ms;           /* before it is read again */
static int lane_at[TRUNKS_MAX][PLACES_MAX]; /* its descriptor */

static bool say(int fd, uint8_t type, uint8_t flags, uint32_t id, uint64_t value,
                const void *payload, size_t length)
{
        struct header header = {type, flags, 0, id, value};
        char out[FRAME_MAX];

        memcpy(out, &header, sizeof(header));
        memcpy(out + sizeof(header), payload, length);
        return send(fd, out, sizeof(header) + length, MSG_NOSIGNAL) >= 0;
}

static void say_by_trunk(const struct call *call, uint32_t place, uint8_t flags, uint32_t id,
                         const void *payload, size_t length)
{
        struct header header = {RESULT, flags, 0, id, 0};
        char out[sizeof(place) + FRAME_MAX];

        memcpy(out, &place, sizeof(place));
        memcpy(out + sizeof(place), &header, sizeof(header));
        memcpy(out + sizeof(place) + sizeof(header), payload, length);
        (void)!send(call->trunk, out, sizeof(place) + sizeof(header) + length, MSG_NOSIGNAL);
}

static void answer_bytes(struct call *call, const void *bytes, size_t length)
{
        if (call->trunk && length < 8000)
                say_by_trunk(call, call->place, END, call->id, bytes, length);
        else
                say(call->fd, RESULT, END, call->id, 0, bytes, length);
}

static void answer(struct call *call, const char *text)
{
        answer_bytes(call, text, strlen(text));
}

static void answer_state(struct call *call)
{
        char text[80];

        pthread_mutex_lock(&lock);
        (void)snprintf(text, sizeof(text), "%u %u %u %u", instance, lanes_open, lanes_most,
                       calls_most);
        pthread_mutex_unlock(&lock);
        answer(call, text);
}

/* "meet N": answers when N have met. */
static void meet(struct call *call, unsigned wanted)
{
        pthread_mutex_lock(&lock);
        unsigned mine = meetings;
        if (++meeting == wanted) {
                meeting = 0;
                meetings++;
                pthread_cond_broadcast(&changed);
        }
        while (meetings == mine)
                pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        answer_state(call);
}

/* "hold": answers after the next "release". */
static void hold(struct call *call)
{
        pthread_mutex_lock(&lock);
        for (unsigned before = releases; releases == before;)
                pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        answer_state(call);
}

static void release(struct call *call)
{
        pthread_mutex_lock(&lock);
        releases++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        answer_state(call);
}

/* "broken N": answers when N answers have broken off. */
static void wait_broken(struct call *call, unsigned wanted)
{
        pthread_mutex_lock(&lock);
        while (broken < wanted)
                pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        answer_state(call);
}

static void note_broken(void)
{
        pthread_mutex_lock(&lock);
        broken++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
}

/* "download N": a stream of N bytes; without a number, one without an end. */
static void download(struct call *call, const char *count)
{
        size_t left = *count ? strtoull(count, NULL, 10) : SIZE_MAX;
        const struct timespec pause = {.tv_nsec = *count ? 0 : 5000000};
        static char block[32768];

        say(call->fd, RESULT, 0, call->id, 0, "begin\n", 6);
        while (left > 0) {
                size_t piece = left < sizeof(block) ? left : sizeof(block);
                if (!say(call->fd, DATA, 0, call->id, 0, block, piece)) {
                        note_broken();
                        return;
                }
                left -= piece;
                if (pause.tv_nsec > 0)
                        (void)nanosleep(&pause, NULL);
        }
        say(call->fd, DATA, END, call->id, 0, "", 0);
}

/* Receives the next piece of the body. False where it breaks off. */
static bool receive_more(struct call *call)
{
        struct header header;
        ssize_t length = recv(call->fd, call->frame, FRAME_MAX, 0);

        if (length < (ssize_t)sizeof(header))
                return false;
        memcpy(&header, call->frame, sizeof(header));
        if (header.type != DATA || header.id != call->id)
                _exit(8);
        call->payload = call->frame + sizeof(header);
        call->length = (size_t)length - sizeof(header);
        call->has_more = !(header.flags & END);
        return true;
}

/* "swallow": how many bytes the whole body has. */
static void swallow(struct call *call)
{
        size_t total = call->length;
        char text[32];

        while (call->has_more) {
                if (!receive_more(call)) {
                        note_broken();
                        return;
                }
                total += call->length;
        }
        (void)snprintf(text, sizeof(text), "%zu", total);
        answer(call, text);
}

/* "chatter": stops the program, logs much and then "last", and stops it. */
static void chatter(struct call *call)
{
        static char block[60000];

        memset(block, 'x', sizeof(block));
        block[sizeof(block) - 1] = '\n';
        raise(SIGSTOP);
        for (int i = 0; i < 3; i++)
                say(call->fd, LOG, 0, call->id, 1, block, sizeof(block));
        say(call->fd, LOG, 0, call->id, 1, "last\n", 5);
        raise(SIGSTOP);
}

/* "sip": reads the body up to a piece "now", and stops the program; reads a little, and stops it; reads the
 * rest, answers, and stops it. */
static void sip(struct call *call)
{
        while (call->length != 3 || memcmp(call->payload, "now", 3) != 0)
                (void)receive_more(call);
        raise(SIGSTOP);
        for (int i = 0; i < 50; i++)
                (void)receive_more(call);
        raise(SIGSTOP);
        while (call->has_more)
                (void)receive_more(call);
        answer(call, "sipped");
        raise(SIGSTOP);
}

/* Where the call came by one, which its lane's first never does; else "first". */
static bool misbehave_on_trunk(struct call *call, const char *command)
{
        if (!call->trunk) {
                answer(call, "first");
                return false;
        }
        if (strcmp(command, "other id") == 0)
                say_by_trunk(call, call->place, END, call->id + 1000, "forged", 6);
        else if (strcmp(command, "half") == 0)
                say_by_trunk(call, call->place, 0, call->id, "half", 4);
        else if (strcmp(command, "place") == 0)
                say_by_trunk(call, 1u << 31, END, call->id, "astray", 6);
        else if (strcmp(command, "neighbour") == 0)
                say_by_trunk(call, call->place + 1, END, call->id, "astray", 6);
        else if (strcmp(command, "short") == 0)
                (void)!send(call->trunk, "abc", 3, MSG_NOSIGNAL);
        return true;
}

/* "ahead": answers the call, and in the same breath the one that will be next, which nobody has sent. */
static void answer_ahead(struct call *call)
{
        struct header headers[2] = {{RESULT, END, 0, call->id, 0},
                                    {RESULT, END, 0, call->id + 1, 0}};
        struct iovec parts[2][2];
        struct mmsghdr messages[2] = {0};

        for (int i = 0; i < 2; i++) {
                parts[i][0] = (struct iovec){&call->place, call->trunk ? sizeof(call->place) : 0};
                parts[i][1] = (struct iovec){&headers[i], sizeof(headers[i])};
                messages[i].msg_hdr = (struct msghdr){.msg_iov = parts[i], .msg_iovlen = 2};
        }
        (void)sendmmsg(call->trunk ? call->trunk : call->fd, messages, 2, MSG_NOSIGNAL);
        (void)shutdown(call->fd, SHUT_RDWR);
}

static void misbehave(struct call *call, const char *command)
{
        if (strncmp(command, "trunk ", 6) == 0 && !misbehave_on_trunk(call, command + 6))
                return;
        if (strcmp(command, "other id") == 0)
                say(call->fd, RESULT, END, call->id + 1000, 0, "forged", 6);
        else if (strcmp(command, "ready") == 0)
                say(call->fd, READY, 0, 0, 0, "", 0);
        else if (strcmp(command, "ready on main") == 0)
                say(3, READY, 0, 0, 0, "", 0);
        else if (strcmp(command, "log of nobody") == 0)
                say(call->fd, LOG, 0, 0, 1, "text\n", 5);
        else if (strcmp(command, "on main") == 0)
                say(3, RESULT, END, call->id, 0, "astray", 6);
        else if (strcmp(command, "short") == 0)
                (void)!send(call->fd, "abc", 3, MSG_NOSIGNAL);
        else if (strcmp(command, "lane") == 0)
                say(call->fd, LANE, 0, 7, 0, "", 0);
        else if (strcmp(command, "close") == 0)
                call->lane_closed = true;
        else if (strcmp(command, "shut") == 0)
                (void)shutdown(call->fd, SHUT_RDWR);
        if (call->lane_closed) {
                if (call->trunk) /* it is not the only descriptor of the lane's */
                        (void)shutdown(call->fd, SHUT_RDWR);
                (void)close(call->fd);
        }
        for (;;)
                pause();
}

static void sleep_ms(long ms)
{
        struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&time, NULL);
}

/* Everything with a result of its own; false for what is echoed. */
static bool run(struct call *call)
{
        const char *text = call->payload;

        if (strncmp(text, "meet ", 5) == 0)
                meet(call, (unsigned)atoi(text + 5));
        else if (strcmp(text, "state") == 0)
                answer_state(call);
        else if (strcmp(text, "hold") == 0)
                hold(call);
        else if (strcmp(text, "release") == 0)
                release(call);
        else if (strncmp(text, "broken ", 7) == 0)
                wait_broken(call, (unsigned)atoi(text + 7));
        else if (strncmp(text, "download", 8) == 0)
                download(call, text[8] ? text + 9 : text + 8);
        else if (strncmp(text, "swallow", 7) == 0)
                swallow(call);
        else if (strcmp(text, "sip") == 0)
                sip(call);
        else if (strcmp(text, "chatter") == 0)
                chatter(call);
        else if (strncmp(text, "exit ", 5) == 0)
                _exit(atoi(text + 5));
        else if (strcmp(text, "crash") == 0)
                raise(SIGSEGV);
        else if (strncmp(text, "ahead ", 6) == 0) {
                sleep_ms(atol(text + 6));
                answer_ahead(call);
        } else if (strncmp(text, "bad ", 4) == 0)
                misbehave(call, text + 4);
        else if (strcmp(text, "twice") == 0) {
                answer(call, "once");
                answer(call, "twice");
        } else if (strcmp(text, "too large") == 0)
                download(call, "9000000");
        else if (strcmp(text, "error") == 0)
                say(call->fd, ERROR, 0, call->id, 0,
                    "{\"errorType\":\"Own\",\"errorMessage\":\"x\"}", 38);
        else if (strcmp(text, "log") == 0) {
                say(call->fd, LOG, 0, call->id, 1, "by frame\n", 9);
                (void)!write(1, "by hand\n", 8);
                answer(call, "logged");
        } else if (strncmp(text, "sleep ", 6) == 0) {
                sleep_ms(atol(text + 6));
                answer(call, "slept");
        } else if (strncmp(text, "rest ", 5) == 0) {
                atomic_store(&trunk_rest_ms, atol(text + 5));
                answer(call, "resting");
        } else if (strcmp(text, "trunk calls") == 0) {
                char count[16];
                (void)snprintf(count, sizeof(count), "%u", by_trunk);
                answer(call, count);
        } else
                return false;
        return true;
}

static void echo(struct call *call)
{
        if (!call->has_more) {
                answer_bytes(call, call->payload, call->length);
                return;
        }
        say(call->fd, RESULT, 0, call->id, 0, call->payload, call->length);
        while (call->has_more) {
                if (!receive_more(call))
                        return;
                say(call->fd, DATA, call->has_more ? 0 : END, call->id, 0, call->payload,
                    call->length);
        }
}

/* "deaf": the rest of its body is left to the next receive, as the protocol has it. */
static void serve(struct call *call, size_t length)
{
        struct header header;

        memcpy(&header, call->frame, sizeof(header));
        if (header.type == DATA)
                return;
        call->id = header.id;
        call->has_more = !(header.flags & END);
        call->payload = call->frame + sizeof(header) + header.meta_length;
        call->length = length - sizeof(header) - header.meta_length;
        call->payload[call->length] = '\0';
        pthread_mutex_lock(&lock);
        if (++calls > calls_most)
                calls_most = calls;
        pthread_mutex_unlock(&lock);
        if (strncmp(call->payload, "deaf", 4) == 0)
                answer(call, "deaf");
        else if (!run(call))
                echo(call);
        pthread_mutex_lock(&lock);
        calls--;
        pthread_mutex_unlock(&lock);
}

static void *lane_main(void *argument)
{
        struct call *call = calloc(1, sizeof(*call));

        call->fd = (int)(intptr_t)argument;
        for (;;) {
                ssize_t length = recv(call->fd, call->frame, FRAME_MAX, 0);
                if (length < (ssize_t)sizeof(struct header))
                        break;
                serve(call, (size_t)length);
        }
        (void)close(call->fd);
        pthread_mutex_lock(&lock);
        lanes_open--;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        free(call);
        return NULL;
}

static void start(void *(*run)(void *), void *argument)
{
        pthread_attr_t attributes;
        pthread_t thread;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 1 << 18);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attributes, run, argument) != 0)
                _exit(7);
        pthread_attr_destroy(&attributes);
}

static void note_place(uint64_t value, int fd)
{
        uint32_t number = (uint32_t)(value >> 32), place = (uint32_t)value;

        if (number >= TRUNKS_MAX || place >= PLACES_MAX)
                _exit(9);
        pthread_mutex_lock(&lock);
        lane_at[number][place] = fd;
        pthread_mutex_unlock(&lock);
}

static void open_lane(int fd, uint64_t value)
{
        pthread_mutex_lock(&lock);
        if (++lanes_open > lanes_most)
                lanes_most = lanes_open;
        pthread_mutex_unlock(&lock);
        note_place(value, fd);
        start(lane_main, (void *)(intptr_t)fd);
}

static void *trunk_call_main(void *argument)
{
        struct call *call = argument;

        serve(call, call->length);
        (void)close(call->fd);
        free(call);
        return NULL;
}

struct trunk {
        int fd;
        uint32_t number;
};

static void *trunk_main(void *argument)
{
        struct trunk trunk = *(struct trunk *)argument;

        free(argument);
        for (;;) {
                struct call *call = calloc(1, sizeof(*call));
                struct iovec parts[] = {{&call->place, sizeof(call->place)},
                                        {call->frame, FRAME_MAX}};
                sleep_ms(atomic_load(&trunk_rest_ms));
                ssize_t length = readv(trunk.fd, parts, 2);
                if (length < (ssize_t)(sizeof(call->place) + sizeof(struct header))) {
                        free(call);
                        break;
                }
                if (call->place >= PLACES_MAX)
                        _exit(9);
                call->length = (size_t)length - sizeof(call->place);
                call->trunk = trunk.fd;
                pthread_mutex_lock(&lock);
                by_trunk++;
                call->fd = dup(lane_at[trunk.number][call->place]);
                pthread_mutex_unlock(&lock);
                start(trunk_call_main, call);
        }
        (void)close(trunk.fd);
        return NULL;
}

static void open_trunk(int fd, uint32_t number)
{
        struct trunk *trunk = calloc(1, sizeof(*trunk));

        if (number >= TRUNKS_MAX)
                _exit(9);
        *trunk = (struct trunk){fd, number};
        start(trunk_main, trunk);
}

static uint8_t ready_flags(void)
{
#ifdef TRUNKS
        return LANES | TAKES_TRUNKS;
#else
        return getenv("NO_LANES") ? 0 : LANES;
#endif
}

int main(void)
{
        const char *boot_ms = getenv("BOOT_MS");

        (void)!getrandom(&instance, sizeof(instance), 0);
        sleep_ms(boot_ms ? atol(boot_ms) : 0);
        say(3, READY, ready_flags(), 0, 0, "", 0);
        for (;;) {
                struct header header;
                char room[CMSG_SPACE(sizeof(int))];
                struct iovec part = {.iov_base = &header, .iov_len = sizeof(header)};
                struct msghdr message = {.msg_iov = &part,
                                         .msg_iovlen = 1,
                                         .msg_control = room,
                                         .msg_controllen = sizeof(room)};
                struct cmsghdr *control;
                int fd;

                if (recvmsg(3, &message, 0) < (ssize_t)sizeof(header))
                        return 0;
                control = CMSG_FIRSTHDR(&message);
                if (!control || control->cmsg_type != SCM_RIGHTS)
                        return 6;
                memcpy(&fd, CMSG_DATA(control), sizeof(fd));
                if (header.type == TRUNK)
                        open_trunk(fd, header.id);
                else if (header.type == LANE)
                        open_lane(fd, header.value);
                else
                        return 6;
        }
}
