/* Names of ranges; see reach.h. */
#include "core/registry/reach.h"

#include "base/text.h"
#include "core/registry/function.h"

#include <errno.h>

bool reach_next(struct slice *rest, struct slice *ret_name)
{
        const char *comma = rest->length > 0 ? memchr(rest->data, ',', rest->length) : NULL;

        if (rest->length == 0)
                return false;
        *ret_name = slice_make(rest->data, comma ? (size_t)(comma - rest->data) : rest->length);
        *rest = slice_skip(*rest, ret_name->length + (comma != NULL));
        return true;
}

static bool is_said_before(struct slice reach, struct slice name)
{
        struct slice other;

        while (reach_next(&reach, &other) && other.data != name.data)
                if (slice_equal(other, name))
                        return true;
        return false;
}

int reach_validate(struct slice reach, struct err *err)
{
        struct slice rest = reach, name;
        size_t count = 0;

        while (reach_next(&rest, &name)) {
                if (name.length > REACH_NAME_MAX_LENGTH || name_validate(name, NULL) < 0)
                        return err_set(err, -EINVAL,
                                       "reach '%s' is not allowed: a range's name has 1 to %d "
                                       "characters of a-z, 0-9 and '-'",
                                       text_quote(name).text, REACH_NAME_MAX_LENGTH);
                if (is_said_before(reach, name))
                        return err_set(err, -EINVAL, "reach '%s' is given twice",
                                       text_quote(name).text);
                if (++count > REACH_NAMES_MAX)
                        return err_set(err, -EINVAL, "reach has more than %d names",
                                       REACH_NAMES_MAX);
        }
        if (reach.length > 0 && reach.data[reach.length - 1] == ',')
                return err_set(err, -EINVAL, "reach has an empty name");
        return 0;
}

int reach_resolve(struct slice reach, const struct reach_names *known, uint32_t *ret_bits,
                  struct err *err)
{
        struct slice name;
        uint32_t bits = 0;
        int r = 0;

        while (reach_next(&reach, &name)) {
                size_t number = 0;
                while (number < known->count && !slice_equal(name, slice_of(known->names[number])))
                        number++;
                if (number < known->count)
                        bits |= 1u << number;
                else
                        r = err_set(err, -ENOENT,
                                    "reach '%s' is not known here: the server defines ranges with "
                                    "--egress-range %s=10.0.0.0/8",
                                    text_quote(name).text, text_quote(name).text);
        }
        *ret_bits = bits;
        return r;
}
