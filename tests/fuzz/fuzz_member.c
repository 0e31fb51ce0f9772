/* Names of members: what is taken is relative, has no way up, and is its own clean spelling. The
 * input's first line is a path, the rest a link's target. */
#include "adapters/archive/member.h"
#include "fuzzing.h"

/* The highest folder on the way from the link to its target: 0 is the bundle, -1 outside of it. */
static long top_of_the_way(const char *path, struct slice target)
{
        long depth = 0, top;

        for (const char *c = path; *c != '\0'; c++)
                depth += *c == '/';
        top = depth;
        while (target.length > 0) {
                struct slice part = fuzz_take_until(&target, '/');
                if (slice_equal(part, SLICE("..")))
                        depth--;
                else if (part.length > 0 && !slice_equal(part, SLICE(".")))
                        depth++;
                top = depth < top ? depth : top;
        }
        return top;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice target = slice_make((const char *)data, size);
        struct slice raw = fuzz_take_until(&target, '\n');
        char path[MEMBER_PATH_MAX + 1], again[MEMBER_PATH_MAX + 1];

        if (member_path_clean(raw, path, NULL) < 0)
                return 0;
        FUZZ_EXPECT(strlen(path) <= raw.length && path[0] != '/');
        FUZZ_EXPECT(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
        FUZZ_EXPECT(!strstr(path, "/../") && !strstr(path, "//"));
        FUZZ_EXPECT(member_path_clean(slice_of(path), again, NULL) == 0);
        FUZZ_EXPECT(strcmp(path, again) == 0);
        if (path[0] != '\0' && member_link_check(path, target, NULL) == 0)
                FUZZ_EXPECT(top_of_the_way(path, target) >= 0);
        return 0;
}
