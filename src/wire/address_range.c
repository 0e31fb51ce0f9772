/* Ranges of addresses as text; see address_range.h. */
#include "wire/address_range.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>

/* Takes a number of at most three digits without a leading zero off the front. */
static bool take_number(struct slice *text, uint32_t most, uint32_t *ret_number)
{
        uint32_t number = 0;
        size_t length = 0;

        while (length < text->length && length < 4 && text->data[length] >= '0' &&
               text->data[length] <= '9')
                number = number * 10 + (uint32_t)(text->data[length++] - '0');
        if (length == 0 || length > 3 || (length > 1 && text->data[0] == '0') || number > most)
                return false;
        *text = slice_skip(*text, length);
        *ret_number = number;
        return true;
}

static bool take_character(struct slice *text, char wanted)
{
        if (text->length == 0 || text->data[0] != wanted)
                return false;
        *text = slice_skip(*text, 1);
        return true;
}

static bool take_address(struct slice *text, uint32_t *ret_address)
{
        uint32_t address = 0, part;

        for (int i = 0; i < 4; i++) {
                if ((i > 0 && !take_character(text, '.')) || !take_number(text, 255, &part))
                        return false;
                address = address << 8 | part;
        }
        *ret_address = address;
        return true;
}

int address_range_parse(struct slice text, struct address_range *ret_range, struct err *err)
{
        struct address_range range = {.prefix = 32};
        struct slice rest = text;

        if (!take_address(&rest, &range.first) ||
            (take_character(&rest, '/') && !take_number(&rest, 32, &range.prefix)) ||
            rest.length > 0)
                return err_set(err, -EINVAL, "'%s' is not of the form 10.0.0.0/8",
                               text_quote(text).text);
        if (!address_range_has(range, range.first))
                return err_set(err, -EINVAL, "'%s' has bits set behind its prefix",
                               text_quote(text).text);
        *ret_range = range;
        return 0;
}

void address_range_format(struct address_range range, char ret_text[ADDRESS_RANGE_TEXT_MAX])
{
        (void)snprintf(ret_text, ADDRESS_RANGE_TEXT_MAX, "%u.%u.%u.%u/%u", range.first >> 24,
                       range.first >> 16 & 255, range.first >> 8 & 255, range.first & 255,
                       range.prefix);
}

static bool is_name(struct slice text)
{
        for (size_t i = 0; i < text.length; i++) {
                char c = text.data[i];
                bool inside = i > 0 && i + 1 < text.length;
                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(c == '-' && inside))
                        return false;
        }
        return text.length > 0 && text.length < NAMED_RANGE_NAME_MAX;
}

static int check_part(struct slice text, struct address_range part, struct err *err)
{
        static const struct address_range never[] = {
                {0x00000000, 8}, {0x7f000000, 8}, {0xa9fe0000, 16}, {0xe0000000, 3}};

        for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
                if (address_range_overlaps(never[i], part))
                        return err_set(err, -EINVAL,
                                       "'%s' has addresses in it that no function may reach: this "
                                       "host's own, link-local or multicast ones",
                                       text_quote(text).text);
        return 0;
}

/* Up to the next comma. */
static struct slice take_word(struct slice *text)
{
        const char *comma = text->length > 0 ? memchr(text->data, ',', text->length) : NULL;
        size_t length = comma ? (size_t)(comma - text->data) : text->length;
        struct slice word = slice_make(text->data, length);

        *text = slice_skip(*text, comma ? length + 1 : length);
        return word;
}

int named_range_parse(struct slice text, struct named_range *ret_range, struct err *err)
{
        const char *equals = text.length > 0 ? memchr(text.data, '=', text.length) : NULL;
        struct slice name = slice_make(text.data, equals ? (size_t)(equals - text.data) : 0);
        struct slice rest = slice_skip(text, equals ? name.length + 1 : text.length);
        struct named_range range = {.count = 0};

        if (!equals || !is_name(name) || rest.length == 0 || rest.data[rest.length - 1] == ',')
                return err_set(err, -EINVAL,
                               "'%s' is not of the form NAME=10.0.0.0/8,..., NAME of a-z, 0-9 and "
                               "'-' and under %d characters",
                               text_quote(text).text, NAMED_RANGE_NAME_MAX);
        memcpy(range.name, name.data, name.length);
        while (rest.length > 0) {
                struct slice word = take_word(&rest);
                if (range.count == NAMED_RANGE_PARTS_MAX)
                        return err_set(err, -EINVAL, "'%s' has more than %d parts", range.name,
                                       NAMED_RANGE_PARTS_MAX);
                if (address_range_parse(word, &range.parts[range.count], err) < 0 ||
                    check_part(word, range.parts[range.count], err) < 0)
                        return -EINVAL;
                range.count++;
        }
        *ret_range = range;
        return 0;
}
