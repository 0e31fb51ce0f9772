/* Walking, reading and removing trees; see tree.h. */
#include "adapters/archive/tree.h"

#include "adapters/archive/member.h"
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int tree_open_parent(int root_fd, const char *path, uint32_t *ret_made, int *ret_fd,
                     const char **ret_name)
{
        AUTO(fd_close) int at = openat(root_fd, ".", OPEN_FOLDER);
        char part[MEMBER_PART_MAX + 1];

        if (at < 0)
                return -errno;
        for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
                size_t length = (size_t)(slash - path);
                AUTO(fd_close) int next = -1;
                bool made = false;

                if (length > MEMBER_PART_MAX)
                        return -ENAMETOOLONG;
                memcpy(part, path, length);
                part[length] = '\0';
                if (ret_made) {
                        made = mkdirat(at, part, 0755) == 0;
                        if (!made && errno != EEXIST)
                                return -errno;
                        *ret_made += made;
                }
                next = openat(at, part, OPEN_FOLDER);
                if (next < 0)
                        return errno == ELOOP ? -ENOTDIR : -errno;
                if (made && fchmod(next, 0755) < 0) /* whatever the umask */
                        return -errno;
                fd_close(&at);
                at = fd_steal(&next);
        }
        *ret_fd = fd_steal(&at);
        *ret_name = path;
        return 0;
}

static int tree_add(struct tree *tree, const struct tree_node *node)
{
        if (tree->count == tree->capacity) {
                size_t capacity = tree->capacity ? 2 * tree->capacity : 32;
                struct tree_node *grown = reallocarray(tree->nodes, capacity, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                tree->nodes = grown;
                tree->capacity = capacity;
        }
        tree->nodes[tree->count] = *node;
        tree->nodes[tree->count].path = strdup(node->path);
        if (!tree->nodes[tree->count].path)
                return -ENOMEM;
        tree->count++;
        return 0;
}

static int tree_node_of(const struct stat *status, char *path, struct tree_node *ret_node)
{
        *ret_node = (struct tree_node){.path = path};
        switch (status->st_mode & S_IFMT) {
        case S_IFDIR:
                ret_node->kind = TREE_FOLDER;
                return 0;
        case S_IFREG:
                ret_node->kind = TREE_FILE;
                ret_node->is_executable = (status->st_mode & 0100) != 0;
                ret_node->size = (uint64_t)status->st_size;
                return 0;
        case S_IFLNK:
                ret_node->kind = TREE_LINK;
                return 0;
        default:
                return -EBADMSG;
        }
}

/* Opens for readdir(). */
static int folder_open(int parent_fd, const char *name, DIR **ret_folder)
{
        AUTO(fd_close) int fd = openat(parent_fd, name, OPEN_FOLDER);

        if (fd < 0)
                return -errno;
        *ret_folder = fdopendir(fd);
        if (!*ret_folder)
                return -errno;
        (void)fd_steal(&fd);
        return 0;
}

/* The next entry but "." and ".."; NULL at the end, with errno. */
static const char *folder_next(DIR *folder)
{
        struct dirent *entry;

        do {
                errno = 0;
                entry = readdir(folder);
        } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
        return entry ? entry->d_name : NULL;
}

/* `path` holds `length` bytes and is written on; its depth bounds the recursion. */
static int tree_read_folder(struct tree *tree, int parent_fd, const char *name,
                            char path[MEMBER_PATH_MAX + 1], size_t length)
{
        AUTO(directory_close) DIR *folder = NULL;
        const char *entry;
        int r = folder_open(parent_fd, name, &folder);

        while (r == 0 && (entry = folder_next(folder))) {
                size_t extra = strlen(entry);
                struct tree_node node;
                struct stat status;

                if (length + extra > MEMBER_PATH_MAX)
                        return -ENAMETOOLONG;
                memcpy(path + length, entry, extra + 1);
                if (fstatat(dirfd(folder), entry, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        return -errno;
                r = tree_node_of(&status, path, &node);
                if (r == 0)
                        r = tree_add(tree, &node);
                if (r == 0 && node.kind == TREE_FOLDER) {
                        path[length + extra] = '/';
                        r = tree_read_folder(tree, dirfd(folder), entry, path, length + extra + 1);
                }
        }
        return r < 0 ? r : -errno;
}

static int node_compare(const void *left, const void *right)
{
        const struct tree_node *a = left, *b = right;

        return strcmp(a->path, b->path);
}

int tree_read(int root_fd, struct tree *ret_tree)
{
        struct tree tree = {0};
        char path[MEMBER_PATH_MAX + 1];
        int r = tree_read_folder(&tree, root_fd, ".", path, 0);

        if (r < 0) {
                tree_deinit(&tree);
                return r;
        }
        if (tree.count > 0)
                qsort(tree.nodes, tree.count, sizeof(*tree.nodes), node_compare);
        *ret_tree = tree;
        return 0;
}

void tree_deinit(struct tree *tree)
{
        for (size_t i = 0; i < tree->count; i++)
                free(tree->nodes[i].path);
        free(tree->nodes);
        *tree = (struct tree){0};
}

int tree_open_file(int root_fd, const char *path, int flags)
{
        const struct open_how how = {
                .flags = (unsigned)(flags | O_CLOEXEC),
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        AUTO(fd_close) int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        struct stat status;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &status) < 0)
                return -errno;
        return S_ISREG(status.st_mode) ? fd_steal(&fd) : -ENOENT;
}

int tree_empty(int parent_fd, const char *name)
{
        AUTO(directory_close) DIR *folder = NULL;
        const char *entry;
        int r = folder_open(parent_fd, name, &folder);

        while (r == 0 && (entry = folder_next(folder))) {
                if (unlinkat(dirfd(folder), entry, 0) < 0)
                        r = errno == EISDIR ? tree_remove(dirfd(folder), entry) : -errno;
        }
        return r < 0 ? r : -errno;
}

int tree_remove(int parent_fd, const char *name)
{
        int r = tree_empty(parent_fd, name);

        if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
                r = -errno;
        return r == -ENOENT ? 0 : r;
}
