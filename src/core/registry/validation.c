/* What users may ask for, and the sentences that say so; in function.h. */
#include "core/registry/function.h"

#include "base/hash.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static bool is_lower_or_digit(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_letter_or_digit(char c)
{
        return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

int name_validate(struct slice name, struct err *err)
{
        bool good = name.length >= 1 && name.length <= NAME_MAX_LENGTH;

        for (size_t i = 0; good && i < name.length; i++)
                good = is_lower_or_digit(name.data[i]) ||
                       (name.data[i] == '-' && i > 0 && i + 1 < name.length);
        if (good)
                return 0;
        return err_set(err, -EINVAL,
                       "name '%s' is not allowed: a name has 1 to %d characters of a-z, 0-9 and "
                       "'-', and '-' neither first nor last",
                       text_quote(name).text, NAME_MAX_LENGTH);
}

bool function_name_is_reserved(struct slice name)
{
        static const struct slice reserved[] = {{"me", 2}, {"execute", 7}};

        for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
                if (slice_equal(name, reserved[i]))
                        return true;
        return false;
}

int function_name_validate(struct slice name, struct err *err)
{
        int r = name_validate(name, err);

        if (r == 0 && function_name_is_reserved(name))
                r = err_set(err, -EINVAL, "the name '%s' is taken by the API itself",
                            text_quote(name).text);
        return r;
}

/* What browsers accept in <input type=email>: HTML Living Standard, "valid email address". */
static bool email_is_valid(struct slice email)
{
        static const char local_symbols[] = ".!#$%&'*+/=?^_`{|}~-";
        const char *at = email.length > 0 ? memchr(email.data, '@', email.length) : NULL;
        size_t local = at ? (size_t)(at - email.data) : 0;
        size_t label = 0; /* characters of the current part of the domain */

        if (!at || local < 1 || local > 64 || email.length > EMAIL_MAX_LENGTH)
                return false;
        for (size_t i = 0; i < local; i++)
                if (!is_letter_or_digit(email.data[i]) &&
                    !(email.data[i] != '\0' && strchr(local_symbols, email.data[i])))
                        return false;
        for (size_t i = local + 1; i < email.length; i++) {
                char c = email.data[i], before = email.data[i - 1];
                if (c == '.' && label > 0 && before != '-')
                        label = 0;
                else if ((is_letter_or_digit(c) || (c == '-' && label > 0)) && label < 63)
                        label++;
                else
                        return false;
        }
        return label > 0 && email.data[email.length - 1] != '-';
}

int email_validate(struct slice email, struct err *err)
{
        if (email_is_valid(email))
                return 0;
        return err_set(err, -EINVAL, "email '%s' is not an e-mail address such as jo@example.org",
                       text_quote(email).text);
}

void email_fold(struct slice email, char *ret_email)
{
        size_t length = email.length < EMAIL_MAX_LENGTH ? email.length : EMAIL_MAX_LENGTH;

        for (size_t i = 0; i < length; i++) {
                char c = email.data[i];
                ret_email[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        ret_email[length] = '\0';
}

int env_name_validate(struct slice name, struct err *err)
{
        bool good = name.length > 0 && !(name.data[0] >= '0' && name.data[0] <= '9');

        for (size_t i = 0; good && i < name.length; i++)
                good = is_letter_or_digit(name.data[i]) || name.data[i] == '_';
        if (!good)
                return err_set(err, -EINVAL,
                               "env name '%s' is not allowed: a name has letters, digits and '_', "
                               "and no digit first",
                               text_quote(name).text);
        if (slice_starts_with(name, SLICE("MAGPIE_")))
                return err_set(err, -EINVAL,
                               "env name '%s' is not allowed: names that begin with MAGPIE_ are "
                               "the platform's",
                               text_quote(name).text);
        return 0;
}

int env_validate(struct slice assignment, struct err *err)
{
        const char *equals =
                assignment.length > 0 ? memchr(assignment.data, '=', assignment.length) : NULL;
        struct slice name;
        int r;

        if (!equals)
                return err_set(err, -EINVAL, "env '%s' is not of the form NAME=value",
                               text_quote(assignment).text);
        name = slice_make(assignment.data, (size_t)(equals - assignment.data));
        r = env_name_validate(name, err);
        if (r < 0)
                return r;
        if (memchr(assignment.data, '\0', assignment.length))
                return err_set(err, -EINVAL, "the value of env '%s' holds a NUL character",
                               text_quote(name).text);
        return 0;
}

static bool env_same_name(const char *a, const char *b)
{
        size_t length = strcspn(a, "=");

        return strncmp(a, b, length + 1) == 0;
}

static int env_validate_all(const struct function *function, struct err *err)
{
        size_t bytes = 0;

        if (function->env_count > ENV_MAX_COUNT)
                return err_set(err, -EINVAL, "env has %zu variables: at most %d are allowed",
                               function->env_count, ENV_MAX_COUNT);
        for (size_t i = 0; i < function->env_count; i++) {
                int r = env_validate(slice_of(function->env[i]), err);
                if (r < 0)
                        return r;
                bytes += strlen(function->env[i]) + 1;
                for (size_t j = 0; j < i; j++)
                        if (env_same_name(function->env[j], function->env[i]))
                                return err_set(
                                        err, -EINVAL, "env '%s' is given twice",
                                        text_quote(slice_make(function->env[i],
                                                              strcspn(function->env[i], "=")))
                                                .text);
        }
        if (bytes > ENV_MAX_BYTES)
                return err_set(err, -EINVAL, "env has %zu bytes in all: at most %d are allowed",
                               bytes, ENV_MAX_BYTES);
        return 0;
}

static int handler_validate(struct slice handler, struct err *err)
{
        bool good = handler.length <= HANDLER_MAX_LENGTH && text_is_utf8(handler);

        for (size_t i = 0; good && i < handler.length; i++)
                good = (unsigned char)handler.data[i] >= 0x20 && handler.data[i] != 0x7f;
        if (good)
                return 0;
        return err_set(err, -EINVAL,
                       "handler '%s' is not allowed: a handler has at most %d bytes and no "
                       "control characters",
                       text_quote(handler).text, HANDLER_MAX_LENGTH);
}

enum number_kind { NUMBER_SIZE, NUMBER_DURATION, NUMBER_COUNT };

struct number_bounds {
        const char *field;
        enum number_kind kind;
        uint64_t given, least, most;
};

static void number_format(enum number_kind kind, uint64_t number, char ret_text[24])
{
        switch (kind) {
        case NUMBER_SIZE:
                size_format(number, ret_text);
                break;
        case NUMBER_DURATION:
                duration_format(number, ret_text);
                break;
        case NUMBER_COUNT:
                (void)snprintf(ret_text, 24, "%" PRIu64, number);
                break;
        }
}

static int number_validate(const struct number_bounds *bounds, struct err *err)
{
        char given[24], least[24], most[24];

        if (bounds->given >= bounds->least && bounds->given <= bounds->most)
                return 0;
        number_format(bounds->kind, bounds->given, given);
        number_format(bounds->kind, bounds->least, least);
        number_format(bounds->kind, bounds->most, most);
        return err_set(err, -EINVAL, "%s %s is not allowed: it may be %s to %s", bounds->field,
                       given, least, most);
}

static int numbers_validate(const struct function *f, struct err *err)
{
        uint32_t keep_alive_ms = f->keep_alive_ms == KEEP_ALIVE_AUTO ? 0 : f->keep_alive_ms;
        const struct number_bounds numbers[] = {
                {"memory", NUMBER_SIZE, f->memory_bytes, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES},
                {"tmp", NUMBER_SIZE, f->tmp_bytes, TMP_MIN_BYTES, TMP_MAX_BYTES},
                {"timeout", NUMBER_DURATION, f->timeout_ms, 1, TIMEOUT_MAX_MS},
                {"keepAlive", NUMBER_DURATION, keep_alive_ms, 0, KEEP_ALIVE_MAX_MS},
                {"concurrency", NUMBER_COUNT, f->concurrency, 1, CONCURRENCY_MAX},
                {"max", NUMBER_COUNT, f->max_instances, 1, INSTANCES_MAX},
                {"min", NUMBER_COUNT, f->min_instances, 0, f->max_instances},
                {"cpu", NUMBER_COUNT, f->cpu_millis, 0, CPU_MAX_MILLIS},
                {"port", NUMBER_COUNT, f->port, 0, UINT16_MAX},
        };

        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                int r = number_validate(&numbers[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Settings that only an image's program can be meant by. */
static int image_validate(const struct function *f, struct err *err)
{
        const char *setting = f->image_reference[0] != '\0'  ? "image"
                              : f->contract != CONTRACT_NONE ? "contract"
                              : f->port != 0                 ? "port"
                                                             : NULL;

        if (f->runtime == RUNTIME_IMAGE || !setting)
                return 0;
        return err_set(err, -EINVAL, "%s is for the runtime image, not for %s", setting,
                       runtime_name(f->runtime));
}

static int digest_validate(const char *what, const char *digest, struct err *err)
{
        if (digest[0] == '\0' ||
            (strlen(digest) == DIGEST_LENGTH && hex_is_valid(digest, DIGEST_LENGTH)))
                return 0;
        return err_set(err, -EINVAL, "%s digest '%s' is not %d hexadecimal digits", what,
                       text_quote(slice_of(digest)).text, DIGEST_LENGTH);
}

/* Each of them was parsed; what is left is whether they can be together, and here. */
static int layers_validate(const struct function *f, struct err *err)
{
        if (f->layer_count > 0 && f->runtime == RUNTIME_IMAGE)
                return err_set(err, -EINVAL,
                               "layers are for code, not for the runtime image: what it needs is "
                               "in the image");
        return digest_validate("layers", f->layers_digest, err);
}

static int network_validate(const struct function *f, struct err *err)
{
        if (f->reach[0] != '\0' && f->network != NETWORK_EGRESS)
                return err_set(err, -EINVAL, "reach is for network: egress alone");
        return reach_validate(slice_of(f->reach), err);
}

int function_validate_sharing(const struct function *function, struct err *err)
{
        const char *contract = contract_name(function->contract);

        if (function->concurrency == 1 || function_can_share(function))
                return 0;
        return err_set(err, -EINVAL,
                       "concurrency %" PRIu32 " is not possible with the %s %s: its instances run "
                       "one call at a time",
                       function->concurrency, contract[0] != '\0' ? "contract" : "runtime",
                       contract[0] != '\0' ? contract : runtime_name(function->runtime));
}

int function_validate(const struct function *function, struct err *err)
{
        int r = name_validate(slice_of(function->name), err);

        if (r == 0)
                r = handler_validate(slice_of(function->handler), err);
        if (r == 0)
                r = numbers_validate(function, err);
        if (r == 0)
                r = env_validate_all(function, err);
        if (r == 0)
                r = image_validate(function, err);
        if (r == 0)
                r = layers_validate(function, err);
        if (r == 0)
                r = network_validate(function, err);
        if (r == 0)
                r = digest_validate("code", function->code_digest, err);
        return r;
}

/* The part of the address before '@', with whatever a name may not have turned into '-'. */
void name_space_from_email(struct slice email, uint32_t attempt, char *ret_name_space)
{
        char suffix[16] = "";
        size_t used = 0, room = NAME_MAX_LENGTH;

        if (attempt > 0)
                room -= (size_t)snprintf(suffix, sizeof(suffix), "-%" PRIu32, attempt + 1);
        for (size_t i = 0; i < email.length && email.data[i] != '@' && used < room; i++) {
                char c = email.data[i];
                if (c >= 'A' && c <= 'Z')
                        c = (char)(c - 'A' + 'a');
                if (is_lower_or_digit(c))
                        ret_name_space[used++] = c;
                else if (used > 0 && ret_name_space[used - 1] != '-')
                        ret_name_space[used++] = '-';
        }
        while (used > 0 && ret_name_space[used - 1] == '-')
                used--;
        if (used == 0)
                used = (size_t)(stpcpy(ret_name_space, "user") - ret_name_space);
        memcpy(ret_name_space + used, suffix, strlen(suffix) + 1);
}
