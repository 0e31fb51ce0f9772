/* Asking for a password without showing it. */
#pragma once

#include "base/err.h"

/* From the terminal, unseen, after `prompt`; where stdin is no terminal, its first line. The caller
 * frees. -EINTR when the person gave up. */
int password_read(const char *prompt, char **ret_password, struct err *err);
void password_free(char **password); /* wipes it; for AUTO(password_free) */
