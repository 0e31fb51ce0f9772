/* clone3(2) for a child that shares the parent's memory and runs a function on a stack of its own.
 * The C library offers that for clone(2) only, which has no CLONE_INTO_CGROUP.
 *
 * A child that shares memory costs the same however large the parent is, and can report its failure
 * by writing a struct. With CLONE_VFORK the parent sleeps until the child has called execve(2) or
 * ended, so the two never run at the same time. See "Physics" in docs/adr/0004-sandbox-recipe.md.
 */
#pragma once

#include <linux/sched.h>
#include <sys/types.h>

/* args->stack and args->stack_size must be set. `run` must not return. The child's pid, or a
 * negative errno. */
pid_t clone_and_run(struct clone_args *args, void (*run)(void *argument), void *argument);
