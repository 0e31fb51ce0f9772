/* "Did you mean ...?" for functions. */
#pragma once

#include "cli/client.h"

/* After a 404: says which of the caller's functions has nearly this name, or how to see them. */
void suggest_function(struct client *client, const char *name);
