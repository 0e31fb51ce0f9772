/* The gateway's process: everything but the sandboxes, as an unprivileged user. */
#pragma once

#include "apps/serve_options.h"

/* `listen_fds`: one a thread. `control_fd` brings connections to the agent, and its end is ours.
 * The program's exit code. */
int node_run(const struct serve_options *options, const int *listen_fds, int control_fd);
