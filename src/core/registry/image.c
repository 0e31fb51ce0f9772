/* Images as shared, immutable values, and their bytes; see image.h. */
#include "core/registry/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 11 /* digits of a uint32_t and a NUL */

static size_t strings_size(size_t count, const char *const *strings)
{
        size_t size = 0;

        for (size_t i = 0; i < count; i++)
                size += strlen(strings[i]) + 1;
        return size;
}

/* Copies strings to *text, which moves on. */
static void copy_strings(size_t count, const char *const *strings, char **ret_strings, char **text)
{
        for (size_t i = 0; i < count; i++) {
                ret_strings[i] = *text;
                *text = stpcpy(*text, strings[i]) + 1;
        }
}

/* The value, its pointers and its text lie in one allocation. */
int image_new(const struct image_parts *parts, struct image **ret_image)
{
        size_t pointers = (parts->word_count + parts->env_count) * sizeof(char *), size;
        struct image *image;
        char *text;

        if (parts->word_count == 0 || parts->word_count > IMAGE_WORDS_MAX ||
            parts->env_count > IMAGE_ENV_MAX || parts->directory[0] != '/' ||
            parts->user > IMAGE_ID_MAX || parts->group > IMAGE_ID_MAX)
                return -EINVAL;
        size = strlen(parts->directory) + 1 + strings_size(parts->word_count, parts->words) +
               strings_size(parts->env_count, parts->env);
        if (size > IMAGE_TEXT_MAX)
                return -EINVAL;
        image = malloc(sizeof(*image) + pointers + size);
        if (!image)
                return -ENOMEM;
        *image = (struct image){.user = parts->user,
                                .group = parts->group,
                                .word_count = parts->word_count,
                                .words = (char **)(image + 1),
                                .env_count = parts->env_count,
                                .env = (char **)(image + 1) + parts->word_count};
        atomic_init(&image->references, 1);
        text = (char *)(image + 1) + pointers;
        copy_strings(1, &parts->directory, &image->directory, &text);
        copy_strings(parts->word_count, parts->words, image->words, &text);
        copy_strings(parts->env_count, parts->env, image->env, &text);
        *ret_image = image;
        return 0;
}

struct image *image_ref(struct image *image)
{
        if (image)
                atomic_fetch_add_explicit(&image->references, 1, memory_order_relaxed);
        return image;
}

void image_unref(struct image *image)
{
        if (image && atomic_fetch_sub_explicit(&image->references, 1, memory_order_acq_rel) == 1)
                free(image);
}

static int pack_number(struct buffer *buffer, uint32_t number)
{
        char text[NUMBER_MAX];
        int length = snprintf(text, sizeof(text), "%" PRIu32, number);

        return buffer_append(buffer, text, (size_t)length + 1);
}

static int pack_strings(struct buffer *buffer, size_t count, char *const *strings)
{
        int r = 0;

        for (size_t i = 0; i < count && r == 0; i++)
                r = buffer_append(buffer, strings[i], strlen(strings[i]) + 1);
        return r;
}

/* user, group, folder, how many words, the words, the environment */
int image_pack(const struct image *image, struct buffer *buffer)
{
        size_t before = buffer->length;
        int r = pack_number(buffer, image->user);

        if (r == 0)
                r = pack_number(buffer, image->group);
        if (r == 0)
                r = pack_strings(buffer, 1, &image->directory);
        if (r == 0)
                r = pack_number(buffer, (uint32_t)image->word_count);
        if (r == 0)
                r = pack_strings(buffer, image->word_count, image->words);
        if (r == 0)
                r = pack_strings(buffer, image->env_count, image->env);
        if (r < 0)
                buffer->length = before;
        return r;
}

/* Takes one string off the front; NULL where there is none. */
static const char *unpack_string(struct slice *bytes)
{
        const char *string = bytes->data;
        const char *end = bytes->length > 0 ? memchr(string, '\0', bytes->length) : NULL;

        if (!end)
                return NULL;
        *bytes = slice_skip(*bytes, (size_t)(end - string) + 1);
        return string;
}

static bool unpack_number(struct slice *bytes, uint32_t most, uint32_t *ret_number)
{
        const char *text = unpack_string(bytes);
        uint64_t number = 0;

        if (!text || text[0] == '\0' || strlen(text) >= NUMBER_MAX)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                number = number * 10 + (uint64_t)(*text - '0');
        }
        *ret_number = (uint32_t)number;
        return number <= most;
}

int image_unpack(struct slice bytes, struct image **ret_image)
{
        const char *words[IMAGE_WORDS_MAX], *env[IMAGE_ENV_MAX];
        struct image_parts parts = {.words = words, .env = env};
        uint32_t word_count;

        if (!unpack_number(&bytes, IMAGE_ID_MAX, &parts.user) ||
            !unpack_number(&bytes, IMAGE_ID_MAX, &parts.group) ||
            !(parts.directory = unpack_string(&bytes)) ||
            !unpack_number(&bytes, IMAGE_WORDS_MAX, &word_count))
                return -EINVAL;
        for (; parts.word_count < word_count; parts.word_count++)
                if (!(words[parts.word_count] = unpack_string(&bytes)))
                        return -EINVAL;
        for (; bytes.length > 0; parts.env_count++)
                if (parts.env_count == IMAGE_ENV_MAX ||
                    !(env[parts.env_count] = unpack_string(&bytes)))
                        return -EINVAL;
        return image_new(&parts, ret_image);
}
