/* Passwords, hashed with argon2id by libsodium. Each call takes some 30 ms and 19 MiB: on the crew
 * only. The memory is mapped for the call and given back to the kernel at its end. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#define PASSWORD_MIN_LENGTH 8    /* characters */
#define PASSWORD_MAX_LENGTH 1024 /* bytes */
#define PASSWORD_HASH_SIZE 128   /* with the NUL; fits struct user */

enum password_result { PASSWORD_RIGHT, PASSWORD_WRONG, PASSWORD_FAILED };

/* Is it one that may be chosen? 0, or -EINVAL and a sentence. */
int password_validate(struct slice password, struct err *err);
/* Writes a NUL-terminated text that holds the parameters and the salt too. 0 or -ENOMEM. */
int password_hash(struct slice password, char ret_hash[PASSWORD_HASH_SIZE], struct err *err);
/* A `hash` that is none, such as "" for a user who does not exist or has no password, is WRONG, and
 * takes as long as a real one: the time tells nobody which addresses are known. */
enum password_result password_verify(struct slice password, const char *hash);
