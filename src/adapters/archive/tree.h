/* A folder and all that is in it, reached from its descriptor alone. No call follows a link, but for
 * tree_open_file(), which stays below the root. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens the folder that `path` (clean, not "") lies in, and points *ret_name at its last part. With
 * `ret_made`, missing folders are made (0755) and counted there. The caller closes *ret_fd. 0;
 * -ENOTDIR where the way leads through a file or a link; another negative errno. */
int tree_open_parent(int root_fd, const char *path, uint32_t *ret_made, int *ret_fd,
                     const char **ret_name);

enum tree_kind { TREE_FOLDER, TREE_FILE, TREE_LINK };

struct tree_node {
        char *path; /* from the root */
        enum tree_kind kind;
        bool is_executable; /* files */
        uint64_t size;      /* files */
};

struct tree {
        size_t count, capacity;
        struct tree_node *nodes; /* in order of strcmp() of their paths; without the root */
};

/* Reads the whole tree. -EBADMSG for what is neither folder, file nor link. */
int tree_read(int root_fd, struct tree *ret_tree);
void tree_deinit(struct tree *tree);

/* Opens a regular file that may lie behind links, as long as they stay below the root (openat2(2),
 * RESOLVE_BENEATH). `flags`: O_RDONLY or O_PATH. The descriptor or a negative errno; -ENOENT also
 * for what is no file. */
int tree_open_file(int root_fd, const char *path, int flags);

/* Removes everything in the folder `name`, and with tree_remove() the folder too; what is gone
 * already is fine. 0 or a negative errno. */
int tree_empty(int parent_fd, const char *name);
int tree_remove(int parent_fd, const char *name);
