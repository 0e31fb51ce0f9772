/* Which node the command line talks to, and as whom. */
#pragma once

#include "base/err.h"
#include "cli/cli.h"

/* A folder with a link for each node of this machine: its port leads to its data folder. */
#define NODES_DIR "/run/magpie"

/* --server, else MAGPIE_URL, else http://127.0.0.1:8080; without a slash at the end and with the
 * scheme, so that it can be a key. The caller frees. -EINVAL for what is no http(s) URL. */
int target_url(const struct cli *cli, char **ret_url, struct err *err);
/* Any spelling of a node's address to the one that target_url() gives. */
int target_normalize(const char *text, char **ret_url, struct err *err);

/* MAGPIE_TOKEN, else the one that `login` kept for this node, else the administrator's from the
 * data folder when the node is on this machine: $MAGPIE_DATA_DIR alone where that is set, else where
 * NODES_DIR says, else /var/lib/magpie. NULL where there is none. The caller frees. */
int target_token(const char *url, char **ret_token, struct err *err);

/* Is this URL's host the loopback of this machine? */
bool target_is_local(const char *url);
