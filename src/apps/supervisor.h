/* The supervisor: what `magpie serve` is, as root: it starts the agent and the gateway, joins them,
 * and starts either again when it dies. It reads no byte from outside. */
#pragma once

#include "apps/serve_options.h"

/* Runs until SIGTERM or SIGINT. The program's exit code. */
int supervisor_run(const struct serve_options *options);
