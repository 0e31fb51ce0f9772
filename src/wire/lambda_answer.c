/* What Lambda runtimes send; see lambda_answer.h. */
#include "wire/lambda_answer.h"

#include "base/buffer.h"
#include "base/text.h"
#include "wire/base64.h"
#include "wire/http_bytes.h"
#include "wire/json_text.h"

#include <stdbool.h>

#define TYPE_MAX 256

/* --- answers --------------------------------------------------------------------------------- */

/* The members of an HTTP answer that count; the last of a name does. raw.data is NULL where there
 * is none. */
struct members {
        struct json_value status, headers, cookies, body, is_base64;
};

static struct json_value *slot_of(struct members *members, const struct json_value *name)
{
        static const struct slice names[] = {{"statusCode", 10},
                                             {"headers", 7},
                                             {"cookies", 7},
                                             {"body", 4},
                                             {"isBase64Encoded", 15}};
        struct json_value *const slots[] = {&members->status, &members->headers, &members->cookies,
                                            &members->body, &members->is_base64};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (json_string_is(name, names[i]))
                        return slots[i];
        return NULL;
}

static void read_members(const struct json_value *object, struct members *ret_members)
{
        struct slice rest = json_inside(object);
        struct json_value name, member, *slot;

        *ret_members = (struct members){0};
        while (json_next_member(&rest, &name, &member)) {
                slot = slot_of(ret_members, &name);
                if (slot && member.kind == JSON_NULL)
                        *slot = (struct json_value){0};
                else if (slot)
                        *slot = member;
        }
}

/* "404" is taken for 404, and so is 404.0. */
static const char *read_status(const struct json_value *value, uint32_t *ret_status)
{
        struct slice text = value->raw;
        uint32_t status = 0;

        if (value->kind == JSON_STRING)
                text = json_inside(value);
        if (text.length == 5 && text.data[3] == '.' && text.data[4] == '0')
                text.length = 3;
        for (size_t i = 0; i < text.length && text.length == 3 && http_is_digit(text.data[i]); i++)
                status = status * 10 + (uint32_t)(text.data[i] - '0');
        if (status < 200 || status > 599)
                return "statusCode is not a number from 200 to 599.";
        *ret_status = status;
        return NULL;
}

struct meta {
        char *text;
        size_t length, capacity;
        bool has_type;
};

/* Decodes in place. Anything but a string is its own JSON. */
static struct slice text_of(const struct json_value *value)
{
        char *at = (char *)(uintptr_t)value->raw.data;

        if (value->kind != JSON_STRING)
                return value->raw;
        return slice_make(at, json_decode_string(value, at));
}

static const char *add_header(struct meta *meta, struct slice name, struct slice value)
{
        char *at = meta->text + meta->length;

        if (!http_is_token(name))
                return "A header's name has a character it may not have.";
        if (http_find_control(value.data, value.data + value.length) != value.data + value.length)
                return "A header's value has a control character.";
        if (name.length + value.length + 2 > meta->capacity - meta->length)
                return "The headers are too long.";
        meta->has_type |= slice_equal_fold(name, SLICE("content-type"));
        memcpy(at, name.data, name.length);
        at[name.length] = ':';
        memcpy(at + name.length + 1, value.data, value.length);
        at[name.length + 1 + value.length] = '\n';
        meta->length += name.length + value.length + 2;
        return NULL;
}

/* Each element of a list is a header of its own. */
static const char *add_values(struct meta *meta, struct slice name, const struct json_value *value)
{
        struct slice rest = json_inside(value);
        struct json_value element;
        const char *fault = NULL;

        while (!fault && json_next_element(&rest, &element))
                fault = add_header(meta, name, text_of(&element));
        return fault;
}

static const char *add_headers(struct meta *meta, const struct json_value *headers)
{
        struct slice rest;
        struct json_value name, value;
        const char *fault = NULL;

        if (!headers->raw.data)
                return NULL;
        if (headers->kind != JSON_OBJECT)
                return "headers is not an object.";
        rest = json_inside(headers);
        while (!fault && json_next_member(&rest, &name, &value)) {
                if (value.kind == JSON_NULL)
                        continue;
                if (value.kind == JSON_ARRAY)
                        fault = add_values(meta, text_of(&name), &value);
                else
                        fault = add_header(meta, text_of(&name), text_of(&value));
        }
        return fault;
}

/* Status and headers of what an object says. */
static const char *read_head(const struct members *members, struct meta *meta,
                             struct lambda_answer *answer)
{
        const char *fault = NULL;

        if (members->status.raw.data)
                fault = read_status(&members->status, &answer->status);
        if (!fault)
                fault = add_headers(meta, &members->headers);
        if (!fault && members->cookies.raw.data) {
                if (members->cookies.kind != JSON_ARRAY)
                        return "cookies is not an array.";
                fault = add_values(meta, SLICE("set-cookie"), &members->cookies);
        }
        return fault;
}

/* Without the white space that some encoders break lines with. */
static const char *decode_base64(struct slice *body)
{
        char *text = (char *)(uintptr_t)body->data;
        size_t length = 0;

        for (size_t i = 0; i < body->length; i++)
                if (text[i] != '\r' && text[i] != '\n' && text[i] != ' ')
                        text[length++] = text[i];
        body->length = length;
        if (base64_decode(BASE64_STANDARD, *body, text, &body->length) < 0)
                return "isBase64Encoded is true, but the body is not base64.";
        return NULL;
}

static const char *read_http(const struct json_value *object, struct meta *meta,
                             struct lambda_answer *answer)
{
        struct members members;
        const char *fault;

        read_members(object, &members);
        fault = read_head(&members, meta, answer);
        if (fault)
                return fault;
        answer->body = members.body.raw.data ? text_of(&members.body) : SLICE("");
        if (members.is_base64.kind == JSON_TRUE && members.is_base64.raw.data) {
                if (members.body.raw.data && members.body.kind != JSON_STRING)
                        return "isBase64Encoded is true, but the body is no string.";
                fault = decode_base64(&answer->body);
        }
        if (!fault && answer->body.length > 0 && !meta->has_type)
                fault = add_header(meta, SLICE("content-type"), SLICE("application/json"));
        return fault;
}

static bool says_status(const struct json_value *value)
{
        struct members members;

        if (value->kind != JSON_OBJECT)
                return false;
        read_members(value, &members);
        return members.status.raw.data;
}

const char *lambda_answer_read(char *result, size_t length, char *ret_meta, size_t capacity,
                               struct lambda_answer *ret_answer)
{
        struct slice text = slice_make(result, length), type = SLICE("application/json");
        struct lambda_answer answer = {.body = text};
        struct meta meta = {.text = ret_meta, .capacity = capacity};
        struct json_value value;
        const char *fault = NULL;

        if (json_take(&text, &value) && text.length == 0) {
                if (says_status(&value))
                        fault = read_http(&value, &meta, &answer);
                else
                        fault = add_header(&meta, SLICE("content-type"), type);
        } else if (length > 0) {
                type = text_is_utf8(answer.body) ? SLICE("text/plain; charset=utf-8")
                                                 : SLICE("application/octet-stream");
                fault = add_header(&meta, SLICE("content-type"), type);
        }
        answer.meta_length = meta.length;
        if (!fault)
                *ret_answer = answer;
        return fault;
}

const char *lambda_prelude_read(char *prelude, size_t length, char *ret_meta, size_t capacity,
                                struct lambda_answer *ret_answer)
{
        struct slice text = slice_make(prelude, length);
        struct lambda_answer answer = {.body = SLICE("")};
        struct meta meta = {.text = ret_meta, .capacity = capacity};
        struct members members;
        struct json_value value;
        const char *fault;

        if (!json_take(&text, &value) || text.length > 0 || value.kind != JSON_OBJECT)
                return "The prelude of the streamed answer is not a JSON object.";
        read_members(&value, &members);
        fault = read_head(&members, &meta, &answer);
        answer.meta_length = meta.length;
        if (!fault)
                *ret_answer = answer;
        return fault;
}

/* --- errors ---------------------------------------------------------------------------------- */

static bool all_strings(const struct json_value *array)
{
        struct slice rest = json_inside(array);
        struct json_value element;

        while (json_next_element(&rest, &element))
                if (element.kind != JSON_STRING)
                        return false;
        return true;
}

static void read_report(const struct json_value *object, struct lambda_error *error)
{
        struct slice rest = json_inside(object);
        struct json_value name, member;

        while (json_next_member(&rest, &name, &member)) {
                if (json_string_is(&name, SLICE("errorType")) && member.kind == JSON_STRING &&
                    error->type.length == 0)
                        error->type = text_of(&member);
                else if (json_string_is(&name, SLICE("errorMessage")))
                        error->message = text_of(&member);
                else if ((json_string_is(&name, SLICE("stackTrace")) ||
                          json_string_is(&name, SLICE("trace"))) &&
                         member.kind == JSON_ARRAY && all_strings(&member))
                        error->trace = member.raw;
        }
}

void lambda_error_read(char *report, size_t length, struct slice type,
                       struct lambda_error *ret_error)
{
        struct slice text = slice_make(report, length);
        struct lambda_error error = {.type = type, .message = text, .trace = SLICE("[]")};
        struct json_value value;

        if (json_take(&text, &value) && text.length == 0 && value.kind == JSON_OBJECT) {
                error.message = SLICE("");
                read_report(&value, &error);
        }
        if (error.type.length == 0)
                error.type = SLICE("Runtime.Unknown");
        *ret_error = error;
}

/* False where it does not fit. */
static bool try_write(const struct lambda_error *error, struct buffer *out)
{
        out->length = 0;
        return buffer_append_text(out, "{\"errorType\":") == 0 &&
               json_write_string(out, error->type) == 0 &&
               buffer_append_text(out, ",\"errorMessage\":") == 0 &&
               json_write_string(out, error->message) == 0 &&
               buffer_append_text(out, ",\"stackTrace\":") == 0 &&
               buffer_append(out, error->trace.data, error->trace.length) == 0 &&
               buffer_append_text(out, "}") == 0;
}

size_t lambda_error_write(const struct lambda_error *error, char *ret_json, size_t capacity)
{
        struct lambda_error rest = *error;
        /* Its bytes are there already: it never allocates. */
        struct buffer out = {.data = ret_json, .capacity = capacity, .limit = capacity};

        if (rest.type.length > TYPE_MAX)
                rest.type.length = TYPE_MAX;
        if (!text_is_utf8(rest.trace))
                rest.trace = SLICE("[]");
        while (!try_write(&rest, &out)) {
                if (rest.trace.length > 2)
                        rest.trace = SLICE("[]");
                else
                        rest.message.length /= 2;
        }
        return out.length;
}
