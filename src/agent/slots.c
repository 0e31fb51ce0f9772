/* The pool of slots; see slots.h. */
#include "agent/slots.h"

#include "agent/clone.h"
#include "agent/file.h"
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

int slots_init(struct slots *slots, int proc_fd, uint64_t hash)
{
        *slots = (struct slots){
                .proc_fd = proc_fd,
                .uid_first = SLOT_UID_FIRST + (uint32_t)(hash % SLOT_UID_RANGES) * SLOT_COUNT,
                .free_slots = calloc(SLOT_COUNT, sizeof(uint32_t)),
                .user_fds = calloc(SLOT_COUNT, sizeof(int)),
        };
        if (!slots->free_slots || !slots->user_fds) {
                slots_deinit(slots);
                return -ENOMEM;
        }
        return 0;
}

void slots_deinit(struct slots *slots)
{
        for (uint32_t i = 0; i < slots->used_count; i++)
                fd_close(&slots->user_fds[i]);
        free(slots->free_slots);
        free(slots->user_fds);
        *slots = (struct slots){0};
}

/* The process that a new user namespace needs until it is mapped and held by a descriptor. */
static void hold_namespace(void *unused)
{
        (void)unused;
        for (;;)
                (void)pause();
}

static int map_and_open(int proc_fd, pid_t pid, uint32_t host_uid)
{
        char map[48], path[48];
        int fd, r;

        (void)snprintf(map, sizeof(map), "%u %" PRIu32 " 1", SLOT_UID_INSIDE, host_uid);
        (void)snprintf(path, sizeof(path), "%d/uid_map", pid);
        r = file_write_at(proc_fd, path, map);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%d/gid_map", pid);
        r = file_write_at(proc_fd, path, map);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%d/ns/user", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int make_user_namespace(int proc_fd, uint32_t host_uid)
{
        _Alignas(16) char stack[4096];
        AUTO(fd_close) int pid_fd = -1;
        struct clone_args args = {
                .flags = CLONE_NEWUSER | CLONE_VM | CLONE_PIDFD,
                .pidfd = (uintptr_t)&pid_fd,
                .exit_signal = SIGCHLD,
                .stack = (uintptr_t)stack,
                .stack_size = sizeof(stack),
        };
        siginfo_t info;
        int fd, pid = clone_and_run(&args, hold_namespace, NULL);

        if (pid < 0)
                return pid;
        fd = map_and_open(proc_fd, pid, host_uid);
        (void)pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
        (void)waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED);
        return fd;
}

int slots_take(struct slots *slots, uint32_t *ret_slot, int *ret_user_fd, struct err *err)
{
        uint32_t slot;

        if (slots->free_count == 0) {
                int fd;
                if (slots->used_count == SLOT_COUNT)
                        return err_set(err, -EBUSY, "all %d sandboxes are in use", SLOT_COUNT);
                fd = make_user_namespace(slots->proc_fd, slots->uid_first + slots->used_count);
                if (fd < 0)
                        return err_errno(err, fd, "making a user namespace");
                slots->user_fds[slots->used_count] = fd;
                slots->free_slots[slots->free_count++] = slots->used_count++;
        }
        slot = slots->free_slots[--slots->free_count];
        *ret_slot = slot;
        *ret_user_fd = slots->user_fds[slot];
        return 0;
}

void slots_give_back(struct slots *slots, uint32_t slot)
{
        slots->free_slots[slots->free_count++] = slot;
}
