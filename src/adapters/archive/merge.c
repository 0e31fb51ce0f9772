/* Laying trees over each other; see merge.h. */
#include "adapters/archive/merge.h"

#include "adapters/archive/member.h"
#include "base/auto.h"
#include "base/hash.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#define SHA256_LENGTH 32
#define QUOTE(string) text_quote(slice_of(string)).text

/* Takes away what has that name, unless it is a folder where one is wanted: then *ret_kept. */
static int make_place(int place_fd, const char *name, bool for_folder, bool *ret_kept)
{
        struct stat status;

        *ret_kept = false;
        if (fstatat(place_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISDIR(status.st_mode))
                return unlinkat(place_fd, name, 0) < 0 ? -errno : 0;
        *ret_kept = for_folder;
        return for_folder ? 0 : tree_remove(place_fd, name);
}

static int make_folder(int place_fd, const char *name)
{
        /* Whatever the umask. */
        return mkdirat(place_fd, name, 0755) < 0 || fchmodat(place_fd, name, 0755, 0) < 0 ? -errno
                                                                                          : 0;
}

static int copy_link(int from_fd, int place_fd, const char *name)
{
        char target[MEMBER_PATH_MAX + 2];
        ssize_t length = readlinkat(from_fd, name, target, sizeof(target) - 1);

        if (length < 0)
                return -errno;
        target[length] = '\0';
        return symlinkat(target, place_fd, name) < 0 ? -errno : 0;
}

static int place_node(const struct merging *merging, int from_fd, const struct tree_node *node)
{
        AUTO(fd_close) int source_fd = -1, place_fd = -1;
        const char *name;
        bool kept = false;
        int r = tree_open_parent(from_fd, node->path, NULL, &source_fd, &name);

        if (r == 0)
                r = tree_open_parent(merging->root_fd, node->path, NULL, &place_fd, &name);
        if (r == 0)
                r = make_place(place_fd, name, node->kind == TREE_FOLDER, &kept);
        if (r < 0 || kept)
                return r;
        switch (node->kind) {
        case TREE_FOLDER:
                return make_folder(place_fd, name);
        case TREE_FILE:
                return linkat(source_fd, name, place_fd, name, 0) < 0 ? -errno : 0;
        case TREE_LINK:
                return copy_link(source_fd, place_fd, name);
        }
        abort(); /* not a kind: our own bug */
}

static enum stage_result count(struct merging *merging, const struct tree *tree, struct err *err)
{
        const struct bundle_limits *limits = merging->limits;
        char most[24];

        for (size_t i = 0; i < tree->count; i++)
                merging->bytes += tree->nodes[i].size;
        merging->members += tree->count;
        if (merging->members > limits->members)
                return bundle_refuse(
                        err, "the layers have more than %" PRIu32 " files and folders together",
                        limits->members);
        if (merging->bytes > limits->unpacked_bytes) {
                size_format(limits->unpacked_bytes, most);
                return bundle_refuse(err, "the layers have more than %s together", most);
        }
        return STAGE_DONE;
}

enum stage_result merge_tree(struct merging *merging, int from_fd, struct err *err)
{
        enum stage_result result;
        struct tree tree;
        int r = tree_read(from_fd, &tree);

        if (r < 0)
                return bundle_fail(err, r, "reading a layer");
        result = count(merging, &tree, err);
        /* A folder comes before what is in it. */
        for (size_t i = 0; result == STAGE_DONE && i < tree.count; i++) {
                r = place_node(merging, from_fd, &tree.nodes[i]);
                if (r < 0)
                        result = bundle_fail(err, r, "laying '%s' over the other layers",
                                             QUOTE(tree.nodes[i].path));
        }
        tree_deinit(&tree);
        return result;
}

static void digest_free(EVP_MD_CTX **context)
{
        EVP_MD_CTX_free(*context);
}

int merge_digest(size_t count, const char *const *digests, char ret_digest[DIGEST_LENGTH + 1])
{
        static const char form[] = "magpie layers 1"; /* change it whenever merging does */
        AUTO(digest_free) EVP_MD_CTX *list = EVP_MD_CTX_new();
        uint8_t hash[SHA256_LENGTH];
        bool good = list && EVP_DigestInit_ex(list, EVP_sha256(), NULL) &&
                    EVP_DigestUpdate(list, form, sizeof(form));

        for (size_t i = 0; good && i < count; i++)
                good = EVP_DigestUpdate(list, digests[i], strlen(digests[i]) + 1);
        if (!good || !EVP_DigestFinal_ex(list, hash, NULL))
                return -ENOMEM;
        hex_encode(hash, sizeof(hash), ret_digest);
        return 0;
}
