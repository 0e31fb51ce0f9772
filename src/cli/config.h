/* What the command line keeps between two runs: one token for each node, in
 * $XDG_CONFIG_HOME/magpie/tokens.json or ~/.config/magpie/tokens.json, readable by its owner only. */
#pragma once

#include "base/err.h"

/* The caller frees; NULL where nobody logged in to this node. -EINVAL where the file is damaged. */
int config_load_token(const char *url, char **ret_token, struct err *err);
int config_keep_token(const char *url, const char *email, const char *token, struct err *err);
/* Harmless where there is none. */
int config_forget_token(const char *url, struct err *err);
