/* What `login` and `user` share: an e-mail address and a password on their way to a node. */
#pragma once

#include "cli/client.h"

/* Asks for the password (`twice`: and for it again) and posts both to `path`, as nobody. Returns a
 * cli_exit, having said what went wrong. The caller frees *ret_answer with json_free(). */
int account_send(struct client *client, const char *path, const char *email, bool twice,
                 cJSON **ret_answer);
