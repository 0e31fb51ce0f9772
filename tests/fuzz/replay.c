/* Runs a harness over files instead of under libFuzzer: `replay_NAME DIRECTORY...`. A directory
 * that does not exist is passed over, but having nothing to run is a failure. */
#include "base/auto.h"
#include "fuzzing.h"

#include <errno.h>
#include <limits.h>

#define INPUT_MAX (1 << 20)

static int replay_file(const char *path)
{
        static char bytes[INPUT_MAX];
        AUTO(file_close) FILE *file = fopen(path, "rb");
        size_t length;

        if (!file) {
                perror(path);
                return -1;
        }
        length = fread(bytes, 1, sizeof(bytes), file);
        if (ferror(file) || length == sizeof(bytes)) {
                fprintf(stderr, "%s: cannot be read, or is too large\n", path);
                return -1;
        }
        /* A failed promise aborts without a word of which input it was. */
        printf("%s\n", path);
        (void)fflush(stdout);
        char *copy = fuzz_copy(bytes, length);
        (void)LLVMFuzzerTestOneInput((const uint8_t *)copy, length);
        free(copy);
        return 0;
}

/* The number of files, or -1. */
static int replay_directory(const char *path)
{
        AUTO(directory_close) DIR *directory = opendir(path);
        struct dirent *entry;
        int count = 0;

        if (!directory)
                return errno == ENOENT ? 0 : -1;
        while ((entry = readdir(directory))) {
                char file[PATH_MAX];

                if (entry->d_name[0] == '.')
                        continue;
                if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >=
                            (int)sizeof(file) ||
                    replay_file(file) < 0)
                        return -1;
                count++;
        }
        return count;
}

int main(int argc, char **argv)
{
        int total = 0;

        for (int i = 1; i < argc; i++) {
                int count = replay_directory(argv[i]);
                if (count < 0)
                        return EXIT_FAILURE;
                total += count;
        }
        printf("%d inputs\n", total);
        return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
