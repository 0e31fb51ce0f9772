/* Checking and naming a bundle's content; see content.h. */
#include "adapters/archive/content.h"

#include "adapters/archive/member.h"
#include "base/auto.h"
#include "base/hash.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define SHA256_LENGTH 32
#define QUOTE(string) text_quote(slice_of(string)).text

const char content_is_empty[] = "the archive is empty: there is no file in it";

/* The target of the link `path`, NUL-terminated. */
static int link_read(int root_fd, const char *path, char ret_target[MEMBER_PATH_MAX + 2])
{
        AUTO(fd_close) int parent = -1;
        const char *name;
        ssize_t length;
        int r = tree_open_parent(root_fd, path, NULL, &parent, &name);

        if (r < 0)
                return r;
        length = readlinkat(parent, name, ret_target, MEMBER_PATH_MAX + 1);
        if (length < 0)
                return -errno;
        ret_target[length] = '\0';
        return 0;
}

static int compare_without_case(const void *left, const void *right)
{
        const struct tree_node *const *a = left, *const *b = right;

        return strcasecmp((*a)->path, (*b)->path);
}

/* Linux would keep both; whoever unpacks the same archive elsewhere would lose one of them. */
static enum stage_result check_case(const struct tree *tree, struct err *err)
{
        AUTO(memory_free) const struct tree_node **nodes = calloc(tree->count, sizeof(*nodes));

        if (!nodes)
                return bundle_fail(err, -ENOMEM, "checking the bundle");
        for (size_t i = 0; i < tree->count; i++)
                nodes[i] = &tree->nodes[i];
        qsort(nodes, tree->count, sizeof(*nodes), compare_without_case);
        for (size_t i = 1; i < tree->count; i++)
                if (strcasecmp(nodes[i - 1]->path, nodes[i]->path) == 0)
                        return bundle_refuse(err, "'%s' and '%s' differ only in case",
                                             QUOTE(nodes[i - 1]->path), QUOTE(nodes[i]->path));
        return STAGE_DONE;
}

static enum stage_result check_nodes(int root_fd, const struct tree *tree, struct err *err)
{
        char target[MEMBER_PATH_MAX + 2];
        bool has_file = false;

        for (size_t i = 0; i < tree->count; i++) {
                const struct tree_node *node = &tree->nodes[i];
                has_file = has_file || node->kind == TREE_FILE;
                if (node->kind != TREE_LINK)
                        continue;
                int r = link_read(root_fd, node->path, target);
                if (r < 0)
                        return bundle_fail(err, r, "reading the link '%s'", QUOTE(node->path));
                if (member_link_check(node->path, slice_of(target), err) < 0)
                        return STAGE_REFUSED;
        }
        if (!has_file)
                return bundle_refuse(err, "%s", content_is_empty);
        return STAGE_DONE;
}

enum stage_result content_check(int root_fd, struct err *err)
{
        enum stage_result result;
        struct tree tree;
        int r = tree_read(root_fd, &tree);

        if (r < 0)
                return bundle_fail(err, r, "reading the unpacked bundle");
        result = check_nodes(root_fd, &tree, err);
        if (result == STAGE_DONE)
                result = check_case(&tree, err);
        tree_deinit(&tree);
        return result;
}

static void digest_free(EVP_MD_CTX **context)
{
        EVP_MD_CTX_free(*context);
}

static int file_digest(int root_fd, const struct tree_node *node, uint8_t ret_hash[SHA256_LENGTH])
{
        AUTO(digest_free) EVP_MD_CTX *context = EVP_MD_CTX_new();
        AUTO(fd_close) int parent = -1, file = -1;
        unsigned char buffer[16384];
        const char *name;
        ssize_t length;
        int r = tree_open_parent(root_fd, node->path, NULL, &parent, &name);

        if (r < 0)
                return r;
        file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (file < 0)
                return -errno;
        if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
                return -ENOMEM;
        while ((length = read(file, buffer, sizeof(buffer))) > 0)
                if (!EVP_DigestUpdate(context, buffer, (size_t)length))
                        return -ENOMEM;
        if (length < 0)
                return -errno;
        return EVP_DigestFinal_ex(context, ret_hash, NULL) ? 0 : -ENOMEM;
}

/* One member of the list: kind, path and a NUL; then what its kind has. No two lists of different
 * content have the same bytes, for each part ends in a NUL or has a fixed length. */
static int node_digest(EVP_MD_CTX *list, int root_fd, const struct tree_node *node)
{
        static const char kinds[] = {[TREE_FOLDER] = 'd', [TREE_FILE] = 'f', [TREE_LINK] = 'l'};
        char target[MEMBER_PATH_MAX + 2], size[24];
        uint8_t hash[SHA256_LENGTH];
        int r = 0;

        if (!EVP_DigestUpdate(list, &kinds[node->kind], 1) ||
            !EVP_DigestUpdate(list, node->path, strlen(node->path) + 1))
                return -ENOMEM;
        switch (node->kind) {
        case TREE_FOLDER:
                return 0;
        case TREE_LINK:
                r = link_read(root_fd, node->path, target);
                if (r < 0)
                        return r;
                return EVP_DigestUpdate(list, target, strlen(target) + 1) ? 0 : -ENOMEM;
        case TREE_FILE:
                r = file_digest(root_fd, node, hash);
                if (r < 0)
                        return r;
                (void)snprintf(size, sizeof(size), "%c%" PRIu64, node->is_executable ? 'x' : '-',
                               node->size);
                return EVP_DigestUpdate(list, size, strlen(size) + 1) &&
                                       EVP_DigestUpdate(list, hash, sizeof(hash))
                               ? 0
                               : -ENOMEM;
        }
        abort(); /* not a kind: our own bug */
}

int content_digest(int root_fd, char ret_digest[DIGEST_LENGTH + 1], uint64_t *ret_bytes,
                   struct err *err)
{
        static const char form[] = "magpie bundle 1"; /* change it whenever the list changes */
        AUTO(digest_free) EVP_MD_CTX *list = EVP_MD_CTX_new();
        uint8_t hash[SHA256_LENGTH];
        uint64_t bytes = 0;
        struct tree tree;
        int r = tree_read(root_fd, &tree);

        if (r < 0)
                return err_errno(err, r, "reading the unpacked bundle");
        if (!list || !EVP_DigestInit_ex(list, EVP_sha256(), NULL) ||
            !EVP_DigestUpdate(list, form, sizeof(form)))
                r = err_errno(err, -ENOMEM, "hashing the bundle");
        for (size_t i = 0; r == 0 && i < tree.count; i++) {
                r = node_digest(list, root_fd, &tree.nodes[i]);
                if (r < 0)
                        (void)err_errno(err, r, "hashing '%s'", QUOTE(tree.nodes[i].path));
                bytes += tree.nodes[i].size;
        }
        if (r == 0 && !EVP_DigestFinal_ex(list, hash, NULL))
                r = err_errno(err, -ENOMEM, "hashing the bundle");
        tree_deinit(&tree);
        if (r < 0)
                return r;
        hex_encode(hash, sizeof(hash), ret_digest);
        *ret_bytes = bytes;
        return 0;
}
