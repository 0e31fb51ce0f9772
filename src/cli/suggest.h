/* "Did you mean ...?" for functions. */
#pragma once

#include "cli/client.h"

/* After a 404: if one of the caller's functions has nearly this name, says so. */
void suggest_function(struct client *client, const char *name);
