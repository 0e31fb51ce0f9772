/* Unpacking whatever comes for a layer, and putting it on another one: nothing is made outside of the
 * folders, what is taken has clean names, the root has no marks, and what is refused is the layer's
 * fault. */
#include "adapters/archive/member.h"
#include "adapters/archive/tree.h"
#include "fuzzing.h"
#include "layer_story.h"

#include <locale.h>
#include <sys/stat.h>

#define BYTES_MAX (1u << 20)
#define ENTRIES_MAX 60

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

static int folder_make(int parent_fd, const char *name)
{
        int fd;

        FUZZ_EXPECT(mkdirat(parent_fd, name, 0755) == 0);
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        FUZZ_EXPECT(fd >= 0);
        return fd;
}

/* What lies below: a bit of everything, with names that are likely to be hit. */
static void root_fill(int root_fd)
{
        AUTO(fd_close) int folder = folder_make(root_fd, "a"), file = -1;

        file = openat(folder, "b", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        FUZZ_EXPECT(file >= 0 && symlinkat("/dev/shm", root_fd, "way") == 0);
        FUZZ_EXPECT(symlinkat("a", root_fd, "etc") == 0);
}

static void expect_clean(int fd, bool may_have_marks)
{
        char path[MEMBER_PATH_MAX + 1];
        struct tree tree;

        FUZZ_EXPECT(tree_read(fd, &tree) == 0);
        for (size_t i = 0; i < tree.count; i++) {
                struct slice name = slice_of(tree.nodes[i].path);
                FUZZ_EXPECT(member_path_tidy(name, path, NULL) == 0);
                FUZZ_EXPECT(slice_equal(slice_of(path), name));
                FUZZ_EXPECT(may_have_marks ||
                            (strncmp(path, ".wh.", 4) != 0 && !strstr(path, "/.wh.")));
        }
        tree_deinit(&tree);
}

static void expect_root(int parent_fd, int layer_fd)
{
        AUTO(fd_close) int root_fd = folder_make(parent_fd, "root");
        struct patience patience = story_patience();
        struct root_size size = {.bytes_max = 1 << 30};
        struct stat status;
        struct err err;

        root_fill(root_fd);
        FUZZ_EXPECT(root_add_layer(root_fd, layer_fd, &patience, &size, &err) == IMAGE_READY);
        FUZZ_EXPECT(root_add_fixtures(root_fd, &err) == IMAGE_READY);
        FUZZ_EXPECT(root_make_folder(root_fd, "/a/way/c", &err) != IMAGE_FAILED);
        FUZZ_EXPECT(fstatat(root_fd, "etc/hosts", &status, AT_SYMLINK_NOFOLLOW) == 0);
        FUZZ_EXPECT(S_ISREG(status.st_mode) && status.st_nlink == 1);
        expect_clean(root_fd, false);
        FUZZ_EXPECT(tree_remove(parent_fd, "root") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice bytes = slice_make((const char *)data, size);
        struct layer_budget budget = {.bytes_max = BYTES_MAX,
                                      .bytes_left = BYTES_MAX,
                                      .entries_max = ENTRIES_MAX,
                                      .entries_left = ENTRIES_MAX};
        struct patience patience = story_patience();
        char packed[65], unpacked[65] = "";
        bool is_sound = story_digests(bytes, BYTES_MAX, packed, unpacked);
        int parent_fd = playground_open();
        AUTO(fd_close) int fd = story_blob(bytes), layer_fd = folder_make(parent_fd, "layer");
        const struct layer_source source = {.blob_fd = fd, .digest = packed, .diff_id = unpacked};
        enum image_result result;
        struct tree around;
        uint64_t disk_bytes;
        struct err err = {0};

        result = layer_unpack(&source, layer_fd, &patience, &budget, &disk_bytes, &err);
        FUZZ_EXPECT(result == IMAGE_READY || result == IMAGE_REFUSED || result == IMAGE_CORRUPT);
        FUZZ_EXPECT((result == IMAGE_READY) == (err.code == 0));
        FUZZ_EXPECT(is_sound || result != IMAGE_READY);
        if (result == IMAGE_READY) {
                expect_clean(layer_fd, true);
                expect_root(parent_fd, layer_fd);
        }
        FUZZ_EXPECT(tree_remove(parent_fd, "layer") == 0);
        FUZZ_EXPECT(tree_read(parent_fd, &around) == 0);
        FUZZ_EXPECT(around.count == 0);
        tree_deinit(&around);
        return 0;
}
