/* Names and kinds in a zip's central directory; see zip_directory.h. */
#include "adapters/archive/zip_directory.h"

#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

#define END_SIZE 22 /* end of central directory record, without its comment */
#define END_COMMENT_MAX 65535
#define MEMBER_SIZE 46 /* file header in the central directory, without name, extra and comment */
#define MADE_ON_UNIX 3

static uint32_t read_u16(const char *at)
{
        const unsigned char *bytes = (const unsigned char *)at;
        return bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t read_u32(const char *at)
{
        return read_u16(at) | read_u16(at + 2) << 16;
}

/* The members' headers, as the last record that could be the end says. Empty where there is
 * none. */
static struct slice directory_find(struct slice zip)
{
        size_t least = zip.length > END_SIZE + END_COMMENT_MAX
                               ? zip.length - END_SIZE - END_COMMENT_MAX
                               : 0;

        if (zip.length < END_SIZE)
                return slice_make("", 0);
        for (size_t at = zip.length - END_SIZE + 1; at-- > least;) {
                const char *end = zip.data + at;
                uint32_t size;
                if (memcmp(end, "PK\5\6", 4) != 0)
                        continue;
                size = read_u32(end + 12);
                /* Counted back from the end, for something may be glued in front of the archive. */
                return size <= at ? slice_make(end - size, size) : slice_make("", 0);
        }
        return slice_make("", 0);
}

static int member_check(struct slice name, uint32_t made_on, uint32_t unix_mode, struct err *err)
{
        if (memchr(name.data, '\0', name.length))
                return err_set(err, -EINVAL, "the name '%s' holds a NUL character",
                               text_quote(name).text);
        if (memchr(name.data, '\\', name.length))
                return err_set(err, -EINVAL, "'%s' holds a backslash: folders are parted by '/'",
                               text_quote(name).text);
        if (made_on == MADE_ON_UNIX && (S_ISCHR(unix_mode) || S_ISBLK(unix_mode) ||
                                        S_ISFIFO(unix_mode) || S_ISSOCK(unix_mode)))
                return err_set(err, -EINVAL, "'%s' is a device, a pipe or a socket",
                               text_quote(name).text);
        return 0;
}

int zip_directory_check(struct slice zip, struct err *err)
{
        struct slice rest = directory_find(zip);

        while (rest.length >= MEMBER_SIZE && memcmp(rest.data, "PK\1\2", 4) == 0) {
                uint32_t name = read_u16(rest.data + 28);
                size_t whole =
                        MEMBER_SIZE + name + read_u16(rest.data + 30) + read_u16(rest.data + 32);
                int r;

                if (whole > rest.length)
                        return 0;
                r = member_check(slice_make(rest.data + MEMBER_SIZE, name),
                                 read_u16(rest.data + 4) >> 8, read_u32(rest.data + 38) >> 16, err);
                if (r < 0)
                        return r;
                rest = slice_skip(rest, whole);
        }
        return 0;
}
