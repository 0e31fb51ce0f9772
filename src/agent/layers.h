/* A function's layers: the tree that it finds at /opt, and the variables by which programs find what is
 * in it.
 *
 * A variable that a program reads when it starts keeps an interpreter from being forked, and parks it
 * apart (stock.h); so each is set only where the tree has the folder that it names.
 */
#pragma once

#include "agent/template.h"
#include "wire/agent_protocol.h"

/* Opens the request's layers as a mount that is attached nowhere yet: -1 where it has none. Adds the
 * variables to its environment, but for those that it sets itself. 0, or a negative errno and a
 * sentence. */
int layers_open(const struct template *template, struct agent_spawn *request, int *ret_fd,
                struct err *err);
