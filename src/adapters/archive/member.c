/* Names and links; see member.h. */
#include "adapters/archive/member.h"

#include "base/text.h"

#include <errno.h>

#define QUOTE(slice) text_quote(slice).text

static bool is_up(struct slice part)
{
        return slice_equal(part, SLICE(".."));
}

/* Takes the first part off a path, "" for an empty one. False at the end. */
static bool take_part(struct slice *path, struct slice *ret_part)
{
        const char *slash;

        if (path->length == 0)
                return false;
        slash = memchr(path->data, '/', path->length);
        ret_part->data = path->data;
        ret_part->length = slash ? (size_t)(slash - path->data) : path->length;
        *path = slice_skip(*path, ret_part->length + (slash ? 1 : 0));
        return true;
}

static bool is_nothing(struct slice part)
{
        return part.length == 0 || slice_equal(part, SLICE("."));
}

/* What holds for paths and for the targets of links. */
static int characters_check(struct slice text, struct err *err)
{
        if (text.length > MEMBER_PATH_MAX)
                return err_set(err, -EINVAL, "'%s' is too long: a path has at most %d bytes",
                               QUOTE(text), MEMBER_PATH_MAX);
        if (text.length > 0 && text.data[0] == '/')
                return err_set(err, -EINVAL, "'%s' is an absolute path", QUOTE(text));
        if (!text_is_utf8(text))
                return err_set(err, -EINVAL, "'%s' is not a name in UTF-8", QUOTE(text));
        for (size_t i = 0; i < text.length; i++) {
                unsigned char c = (unsigned char)text.data[i];
                if (c < 0x20 || c == 0x7f)
                        return err_set(err, -EINVAL, "'%s' holds a control character", QUOTE(text));
                if (c == '\\')
                        return err_set(err, -EINVAL,
                                       "'%s' holds a backslash: folders are parted by '/'",
                                       QUOTE(text));
        }
        return 0;
}

/* Joins the parts that say something. */
static int path_join(struct slice raw, const char *whole, char ret_path[MEMBER_PATH_MAX + 1],
                     struct err *err)
{
        struct slice rest = raw, part;
        size_t used = 0, depth = 0;

        while (take_part(&rest, &part)) {
                if (is_nothing(part))
                        continue;
                if (is_up(part))
                        return err_set(err, -EINVAL, "'%s' leads out of the %s", QUOTE(raw), whole);
                if (part.length > MEMBER_PART_MAX)
                        return err_set(err, -EINVAL,
                                       "'%s' is too long: a name has at most %d bytes", QUOTE(part),
                                       MEMBER_PART_MAX);
                if (++depth > MEMBER_DEPTH_MAX)
                        return err_set(err, -EINVAL,
                                       "'%s' lies too deep: at most %d folders are allowed",
                                       QUOTE(raw), MEMBER_DEPTH_MAX);
                if (used > 0)
                        ret_path[used++] = '/';
                memcpy(ret_path + used, part.data, part.length);
                used += part.length;
        }
        ret_path[used] = '\0';
        return 0;
}

int member_path_clean(struct slice raw, char ret_path[MEMBER_PATH_MAX + 1], struct err *err)
{
        int r = characters_check(raw, err);

        return r < 0 ? r : path_join(raw, "bundle", ret_path, err);
}

int member_path_tidy(struct slice raw, char ret_path[MEMBER_PATH_MAX + 1], struct err *err)
{
        if (raw.length > MEMBER_PATH_MAX)
                return err_set(err, -EINVAL, "'%s' is too long: a path has at most %d bytes",
                               QUOTE(raw), MEMBER_PATH_MAX);
        return path_join(raw, "layer", ret_path, err);
}

int member_link_check(const char *path, struct slice target, struct err *err)
{
        struct slice rest = target, part;
        size_t height = 0;
        bool descending = false;
        struct err why;

        if (target.length == 0)
                return err_set(err, -EINVAL, "the link '%s' leads nowhere", QUOTE(slice_of(path)));
        if (characters_check(target, &why) < 0)
                return err_set(err, -EINVAL, "the link '%s' leads out of the bundle: %s",
                               QUOTE(slice_of(path)), why.text);
        for (const char *c = path; *c != '\0'; c++)
                height += *c == '/';

        while (take_part(&rest, &part)) {
                if (is_nothing(part))
                        continue;
                if (!is_up(part)) {
                        descending = true;
                        continue;
                }
                if (descending)
                        return err_set(err, -EINVAL,
                                       "the link '%s' leads to '%s': '..' is allowed at the "
                                       "beginning only",
                                       QUOTE(slice_of(path)), QUOTE(target));
                if (height-- == 0)
                        return err_set(err, -EINVAL,
                                       "the link '%s' leads out of the bundle, to '%s'",
                                       QUOTE(slice_of(path)), QUOTE(target));
        }
        return 0;
}
