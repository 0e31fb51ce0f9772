/* The system calls that agent and sandboxes may make.
 *
 * Two programs. The large one is compiled and installed once, on the agent itself: it allows what a
 * function may do and what making a sandbox takes, and every child inherits it for nothing. The
 * small one is installed by the child just before it executes magpie-init, and takes away what
 * only making a sandbox took. A filter's installation costs time with its length (the kernel
 * simulates it for every system call there is): 230 us for one large filter a sandbox, 40 us for
 * the small one.
 */
#pragma once

#include "base/err.h"

#include <linux/filter.h>

#define FILTER_CHILD_MAX 64

/* Installs the large program on the calling process, for good. */
int filter_install(struct err *err);

/* Writes the small program; it refers to `ret_instructions`. */
void filter_make_child_program(struct sock_filter ret_instructions[FILTER_CHILD_MAX],
                               struct sock_fprog *ret_program);
