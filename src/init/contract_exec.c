/* One process an invocation; see contract.h.
 *
 * The payload goes to standard input, and is the last argument too where it can be one: complete,
 * under 64 KiB, without NUL. Standard output is the result, standard error the log. While the
 * result fits a first window it is held back, so that a program which fails late still answers with
 * a clean error; beyond the window it streams.
 *
 * One poll loop serves all four directions, and reads nothing that it has no room for: a program
 * may write before it has read, or never read at all. A frame received is a request claimed
 * (worker_protocol.h), so the socket is read only while this invocation's body is incomplete.
 */
#include "init/children.h"
#include "init/contract.h"
#include "init/exec_environment.h"
#include "init/exec_process.h"
#include "init/program.h"
#include "init/ready.h"
#include "init/worker_socket.h"

#include "base/auto.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENT_MAX 65535 /* bytes of payload that may be an argument */
#define WINDOW_SIZE 49152  /* bytes of result held back until the exit status is known */
#define LOG_SIZE 16384     /* bytes of log in one frame */

extern char **environ;

struct exec {
        const char *path;       /* of the program */
        const char **arguments; /* its command line, with room for the payload and NULL */
        size_t argument_count;  /* without these */
        int child_fd;           /* a signalfd of SIGCHLD */
        uint32_t id;            /* of the invocation */
        bool body_ended;
        bool exited;
        bool streaming; /* the head of the result has been sent */
        int status;     /* of wait(2), once exited */
        struct exec_process process;
        struct slice unsent;        /* of the body: for standard input, in `body` or `frame` */
        struct slice later;         /* after that: what came beyond `body`, in `frame` */
        size_t window_used;         /* bytes of result in `window` */
        bool outbox_full;           /* a frame waits for room in the socket */
        struct worker_frame outbox; /* its payload lies in `window` or `log` */
        struct exec_environment environment;
        char body[ARGUMENT_MAX + 1]; /* the first part of the body, and a NUL */
        char frame[WORKER_FRAME_MAX];
        char window[WINDOW_SIZE];
        char log[LOG_SIZE];
};

/* 1: a frame; 0: the gateway is gone; negative: what came is not the protocol. */
static int receive(struct exec *exec, struct worker_frame *ret_frame)
{
        ssize_t length;

        do {
                length = recv(WORKER_FD, exec->frame, sizeof(exec->frame), MSG_TRUNC);
        } while (length < 0 && errno == EINTR);
        if (length <= 0)
                return length < 0 && errno != ECONNRESET ? -errno : 0;
        if ((size_t)length > sizeof(exec->frame))
                return -EPROTO;
        return worker_frame_decode(exec->frame, (size_t)length, ret_frame) < 0 ? -EPROTO : 1;
}

/* Receives the next part of the body as what is to be written next. As receive(). */
static int receive_body(struct exec *exec)
{
        struct worker_frame frame;
        int r = receive(exec, &frame);

        if (r <= 0)
                return r;
        if (frame.type != WORKER_DATA || frame.id != exec->id)
                return -EPROTO;
        exec->unsent = frame.payload;
        exec->body_ended = frame.flags & WORKER_FLAG_END;
        return 1;
}

/* Gathers the body as far as it could be an argument: its first ret_length bytes are in `body`. As
 * receive(). */
static int collect_body(struct exec *exec, struct slice first, size_t *ret_length)
{
        size_t length = 0;
        int r = 1;

        exec->unsent = first;
        for (;;) {
                size_t room = ARGUMENT_MAX - length;
                size_t part = exec->unsent.length < room ? exec->unsent.length : room;
                if (part > 0)
                        memcpy(exec->body + length, exec->unsent.data, part);
                length += part;
                exec->unsent = slice_skip(exec->unsent, part);
                if (exec->body_ended || exec->unsent.length > 0 || length == ARGUMENT_MAX)
                        break;
                r = receive_body(exec);
                if (r <= 0)
                        break;
        }
        exec->body[length] = '\0';
        exec->later = exec->unsent;
        exec->unsent = slice_make(exec->body, length);
        *ret_length = length;
        return r;
}

static void reap(struct exec *exec, int flags)
{
        struct signalfd_siginfo info;
        pid_t ended;
        int status;

        if (read(exec->child_fd, &info, sizeof(info)) < 0 && errno != EAGAIN)
                return;
        while ((ended = waitpid(-1, &status, flags)) > 0 || (ended < 0 && errno == EINTR))
                if (ended == exec->process.pid) {
                        exec->exited = true;
                        exec->status = status;
                }
}

/* Whatever the invocation left running ends with it: a new request finds the sandbox quiet. Who lives in
 * here is a child of ours, or has one among its ancestors. Where there is none, nobody is killed: the kernel
 * would look at each process of the host (kill_something_info() in its signal.c). */
static void kill_leftovers(struct exec *exec)
{
        siginfo_t info;

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 && errno == ECHILD)
                return;
        (void)kill(-1, SIGKILL);
        reap(exec, 0);
}

static int send_error(const struct exec *exec, const char *type, const char *text)
{
        char json[512];
        struct worker_frame frame = {.type = WORKER_ERROR, .id = exec->id};

        (void)snprintf(json, sizeof(json),
                       "{\"errorType\":\"%s\",\"errorMessage\":\"%s\",\"stackTrace\":[]}", type,
                       text);
        frame.payload = slice_of(json);
        return worker_socket_send(&frame);
}

static int send_outcome(struct exec *exec)
{
        struct outcome outcome = outcome_of_status(exec->status);
        struct worker_frame frame = {
                .type = exec->streaming ? WORKER_DATA : WORKER_RESULT,
                .flags = WORKER_FLAG_END,
                .id = exec->id,
                .payload = slice_make(exec->window, exec->window_used),
        };
        char text[64];

        if (!outcome.by_signal && outcome.number == 0)
                return worker_socket_send(&frame);
        if (outcome.by_signal)
                (void)snprintf(text, sizeof(text), "killed by signal %d (%s)", outcome.number,
                               strsignal(outcome.number));
        else
                (void)snprintf(text, sizeof(text), "exit status %d", outcome.number);
        return send_error(exec, outcome.by_signal ? "SignalError" : "ExitError", text);
}

static void write_input(struct exec *exec)
{
        ssize_t written = write(exec->process.input, exec->unsent.data, exec->unsent.length);

        if (written >= 0)
                exec->unsent = slice_skip(exec->unsent, (size_t)written);
        else if (errno == EPIPE)
                fd_close(&exec->process.input);
        if (exec->unsent.length == 0) {
                exec->unsent = exec->later;
                exec->later = (struct slice){0};
        }
}

static void post(struct exec *exec, struct worker_frame frame)
{
        frame.id = exec->id;
        exec->outbox = frame;
        exec->outbox_full = true;
}

static void read_output(struct exec *exec)
{
        ssize_t got = read(exec->process.output, exec->window + exec->window_used,
                           sizeof(exec->window) - exec->window_used);

        if (got == 0)
                fd_close(&exec->process.output);
        if (got <= 0)
                return;
        exec->window_used += (size_t)got;
        if (exec->window_used < sizeof(exec->window) && !exec->streaming)
                return;
        post(exec, (struct worker_frame){.type = exec->streaming ? WORKER_DATA : WORKER_RESULT,
                                         .payload = slice_make(exec->window, exec->window_used)});
        exec->streaming = true;
        exec->window_used = 0;
}

static void read_log(struct exec *exec)
{
        ssize_t got = read(exec->process.log, exec->log, sizeof(exec->log));

        if (got == 0)
                fd_close(&exec->process.log);
        if (got > 0)
                post(exec, (struct worker_frame){.type = WORKER_LOG,
                                                 .value = STDERR_FILENO,
                                                 .payload = slice_make(exec->log, (size_t)got)});
}

static int send_outbox(struct exec *exec)
{
        int r = worker_socket_try_send(WORKER_FD, &exec->outbox);

        if (r == 0)
                exec->outbox_full = false;
        return r == -EAGAIN ? 0 : r;
}

enum { POLL_CHILD, POLL_WORKER, POLL_INPUT, POLL_OUTPUT, POLL_LOG, POLL_COUNT };

static bool wants_body(const struct exec *exec)
{
        return !exec->body_ended && exec->unsent.length == 0 && !exec->exited;
}

/* Asks only for what there is room for. */
static void choose(const struct exec *exec, struct pollfd polls[POLL_COUNT])
{
        const struct exec_process *process = &exec->process;
        bool has_room = !exec->outbox_full;

        polls[POLL_CHILD] =
                (struct pollfd){.fd = exec->exited ? -1 : exec->child_fd, .events = POLLIN};
        polls[POLL_WORKER] = (struct pollfd){.fd = WORKER_FD};
        if (!has_room)
                polls[POLL_WORKER].events |= POLLOUT;
        if (wants_body(exec))
                polls[POLL_WORKER].events |= POLLIN;
        if (polls[POLL_WORKER].events == 0)
                polls[POLL_WORKER].fd = -1;
        polls[POLL_INPUT] = (struct pollfd){.fd = exec->unsent.length > 0 ? process->input : -1,
                                            .events = POLLOUT};
        polls[POLL_OUTPUT] =
                (struct pollfd){.fd = has_room ? process->output : -1, .events = POLLIN};
        polls[POLL_LOG] = (struct pollfd){.fd = has_room ? process->log : -1, .events = POLLIN};
}

/* One turn. 1: go on; 0, negative: as receive(). */
static int turn(struct exec *exec)
{
        struct pollfd polls[POLL_COUNT];
        int worker, r = 1;

        /* Nobody reads it any more: the rest of the body is taken and thrown away. */
        if (exec->process.input < 0)
                exec->unsent = exec->later = (struct slice){0};
        if (exec->body_ended && exec->unsent.length == 0)
                fd_close(&exec->process.input);
        choose(exec, polls);
        if (poll(polls, POLL_COUNT, -1) < 0)
                return errno == EINTR ? 1 : -errno;

        /* An error or hang-up comes unasked, and either call then tells. */
        worker = polls[POLL_WORKER].revents;
        if (exec->outbox_full && (worker & ~POLLIN))
                r = send_outbox(exec) < 0 ? 0 : 1;
        if (r > 0 && wants_body(exec) && (worker & ~POLLOUT))
                r = receive_body(exec);
        if (polls[POLL_INPUT].revents)
                write_input(exec);
        if (polls[POLL_LOG].revents && !exec->outbox_full)
                read_log(exec);
        if (polls[POLL_OUTPUT].revents && !exec->outbox_full)
                read_output(exec);
        if (polls[POLL_CHILD].revents)
                reap(exec, WNOHANG);
        return r;
}

/* Serves the started process to its end. As receive(). */
static int serve(struct exec *exec)
{
        bool quiet = false;

        while (!exec->exited || exec->outbox_full || exec->process.output >= 0 ||
               exec->process.log >= 0) {
                int r = turn(exec);
                if (r <= 0)
                        return r;
                if (exec->exited && !quiet) {
                        kill_leftovers(exec);
                        quiet = true;
                }
        }
        return send_outcome(exec) < 0 ? 0 : 1;
}

static int invoke(struct exec *exec, const struct worker_frame *frame)
{
        size_t length;
        bool is_argument;
        int r;

        exec->id = frame->id;
        exec->body_ended = frame->flags & WORKER_FLAG_END;
        exec->exited = exec->streaming = exec->outbox_full = false;
        exec->window_used = 0;
        r = exec_environment_make(&exec->environment, environ, frame->meta,
                                  frame->flags & WORKER_FLAG_HTTP, frame->value);
        if (r < 0)
                return r;
        r = collect_body(exec, frame->payload, &length);
        if (r <= 0)
                return r;
        is_argument =
                exec->body_ended && exec->later.length == 0 && !memchr(exec->body, '\0', length);
        exec->arguments[exec->argument_count] = is_argument ? exec->body : NULL;
        r = exec_process_start(&exec->process, exec->path, (char **)(uintptr_t)exec->arguments,
                               exec->environment.variables);
        if (r < 0)
                return send_error(exec, "ExecError", strerror(-r)) < 0 ? 0 : 1;
        r = serve(exec);
        fd_close(&exec->process.input);
        fd_close(&exec->process.output);
        fd_close(&exec->process.log);
        return r;
}

/* Nothing is started before the first request; but what can be known now is said now. */
static int announce(const char *program, const struct ready *ready, char ret_path[PATH_MAX])
{
        int r = program_find(program, ret_path);

        if (r < 0) {
                worker_socket_refuse("'%s' cannot be run: %s", program, strerror(-r));
                return r;
        }
        return ready_say(ready, 0);
}

/* The command line, with room for two words more. */
static bool take_command(struct exec *exec, char *const *command)
{
        while (command[exec->argument_count])
                exec->argument_count++;
        exec->arguments = calloc(exec->argument_count + 2, sizeof(*exec->arguments));
        if (!exec->arguments)
                return false;
        memcpy(exec->arguments, command, exec->argument_count * sizeof(*command));
        return true;
}

struct outcome contract_exec(char *const *command)
{
        static char path[PATH_MAX];
        const struct outcome failed = {.number = 127}, ended = {.number = 0};
        const struct ready ready = ready_begin();
        struct exec *exec = calloc(1, sizeof(*exec));
        int r;

        (void)unsetenv(STOP_SIGNAL_VARIABLE); /* no program of its lives between calls */
        if (!exec || !take_command(exec, command))
                return failed;
        exec->path = path;
        exec->process = (struct exec_process){.input = -1, .output = -1, .log = -1};
        exec->child_fd = children_open();
        if (exec->child_fd < 0 || announce(command[0], &ready, path) < 0)
                return failed;
        do {
                struct worker_frame frame;
                r = receive(exec, &frame);
                /* The rest of a body that its program did not want may still come. */
                if (r > 0 && frame.type != WORKER_DATA)
                        r = frame.type == WORKER_INVOKE ? invoke(exec, &frame) : -EPROTO;
        } while (r > 0);
        return r < 0 ? failed : ended;
}
