/* Who an image's `User` is, by the image's own /etc/passwd and /etc/group (passwd(5), group(5)). */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define ACCOUNTS_FILE_MAX (1u << 20)
#define ACCOUNT_HOME_MAX 1023

struct account {
        uint32_t user, group;
        char home[ACCOUNT_HOME_MAX + 1]; /* "" where nobody says */
};

/* `text`: "", "name", "uid", "name:group", "uid:gid" and so on; "" is 0:0, and so is the group of a
 * number that nobody knows. `users` and `groups` are the files' contents, empty where there are
 * none. 0, or -EINVAL and a sentence: there is no such name, or the number is above 65535. */
int account_find(const char *text, struct slice users, struct slice groups,
                 struct account *ret_account, struct err *err);
