/* Unpacking whatever comes: a bundle that is taken holds clean names and links that stay inside,
 * has a digest, and nothing was made outside of its folder. What is refused is the archive's
 * fault. */
#include "adapters/archive/entry.h"
#include "adapters/archive/member.h"
#include "adapters/archive/merge.h"
#include "adapters/archive/unpack.h"
#include "base/auto.h"
#include "fuzzing.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

/* Small, so that a bomb is not worth waiting for. */
static const struct bundle_limits limits = {.unpacked_bytes = 1 << 20, .members = 50, .ratio = 200};

/* A folder in memory, for the process's life. */
static char playground[] = "/dev/shm/magpie-fuzz-XXXXXX";

static void playground_remove(void)
{
        (void)rmdir(playground);
}

static int playground_open(void)
{
        static int fd = -1;

        if (fd < 0) {
                FUZZ_EXPECT(mkdtemp(playground) && atexit(playground_remove) == 0);
                fd = open(playground, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                FUZZ_EXPECT(fd >= 0);
                FUZZ_EXPECT(uselocale(newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)));
        }
        return fd;
}

static void expect_sound(int root_fd)
{
        char digest[DIGEST_LENGTH + 1], path[MEMBER_PATH_MAX + 1];
        struct function *function = function_new();
        struct tree tree;
        uint64_t bytes;
        struct err err;

        FUZZ_EXPECT(function && tree_read(root_fd, &tree) == 0);
        FUZZ_EXPECT(tree.count > 0 && tree.count <= limits.members);
        for (size_t i = 0; i < tree.count; i++) {
                struct slice name = slice_of(tree.nodes[i].path);
                FUZZ_EXPECT(member_path_clean(name, path, NULL) == 0);
                FUZZ_EXPECT(slice_equal(slice_of(path), name));
        }
        FUZZ_EXPECT(content_check(root_fd, &err) == STAGE_DONE);
        FUZZ_EXPECT(content_digest(root_fd, digest, &bytes, &err) == 0);
        FUZZ_EXPECT(bytes <= limits.unpacked_bytes);
        for (int runtime = RUNTIME_PYTHON3; runtime <= RUNTIME_EXEC; runtime++) {
                function->runtime = (enum runtime)runtime;
                function->handler[0] = '\0';
                FUZZ_EXPECT(entry_choose(root_fd, function, &err) != STAGE_FAILED);
        }
        tree_deinit(&tree);
        function_unref(function);
}

/* Laid over nothing, and then over itself, it is itself. */
static void expect_merges(int parent_fd, int root_fd)
{
        char digest[DIGEST_LENGTH + 1], merged_digest[DIGEST_LENGTH + 1];
        const struct bundle_limits room = {.unpacked_bytes = 2 << 20, .members = 100};
        struct merging merging = {.limits = &room};
        AUTO(fd_close) int merged_fd = -1;
        uint64_t bytes, merged_bytes;
        struct err err;

        FUZZ_EXPECT(mkdirat(parent_fd, "merged", 0755) == 0);
        merged_fd = openat(parent_fd, "merged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        merging.root_fd = merged_fd;
        FUZZ_EXPECT(content_digest(root_fd, digest, &bytes, &err) == 0);
        for (int i = 0; i < 2; i++) {
                FUZZ_EXPECT(merge_tree(&merging, root_fd, &err) == STAGE_DONE);
                FUZZ_EXPECT(content_digest(merged_fd, merged_digest, &merged_bytes, &err) == 0);
                FUZZ_EXPECT(strcmp(digest, merged_digest) == 0 && bytes == merged_bytes);
        }
        FUZZ_EXPECT(tree_remove(parent_fd, "merged") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice code = slice_make((const char *)data, size);
        int parent_fd = playground_open();
        AUTO(fd_close) int root_fd = -1;
        enum stage_result result;
        struct tree around;
        struct err err = {0};

        FUZZ_EXPECT(mkdirat(parent_fd, "bundle", 0755) == 0);
        root_fd = openat(parent_fd, "bundle", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = bundle_unpack(root_fd, code, "main.py", &limits, &err);
        FUZZ_EXPECT(result != STAGE_FAILED);
        FUZZ_EXPECT((result == STAGE_DONE) == (err.code == 0));
        if (result == STAGE_DONE) {
                expect_sound(root_fd);
                expect_merges(parent_fd, root_fd);
        }
        FUZZ_EXPECT(tree_remove(parent_fd, "bundle") == 0);
        FUZZ_EXPECT(tree_read(parent_fd, &around) == 0);
        FUZZ_EXPECT(around.count == 0);
        tree_deinit(&around);
        return 0;
}
