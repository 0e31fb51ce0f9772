/* The supervisor: what `magpie serve` is, as root: it starts the agent and the gateway, joins them,
 * and starts either again when it dies. It reads no byte from outside. */
#pragma once

#include "apps/serve_options.h"

/* Runs until SIGTERM or SIGINT. The program's exit code. A port of 0 becomes the one that was found. */
int supervisor_run(struct serve_options *options);
