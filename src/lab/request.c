/* Writing a request; see request.h. */
#include "lab/request.h"

#include "base/auto.h"
#include "base/text.h"
#include "wire/http_bytes.h"

#include <errno.h>

/* What users have said themselves, so that the lab need not. */
struct said {
        bool host, user_agent, accept, content_type;
};

static int append(struct buffer *buffer, struct slice text)
{
        return buffer_append(buffer, text.data, text.length);
}

/* Cuts "Name: value"; the value is trimmed. */
static int split_header(struct slice line, struct slice *ret_name, struct slice *ret_value,
                        struct err *err)
{
        const char *colon = line.length > 0 ? memchr(line.data, ':', line.length) : NULL;
        struct slice name = slice_make(line.data, colon ? (size_t)(colon - line.data) : 0);
        struct slice value;

        if (!colon || !http_is_token(name))
                return err_set(err, -EINVAL, "'%s' is not a header: write 'Name: value'",
                               text_quote(line).text);
        value = http_trim(slice_skip(line, name.length + 1));
        if (value.length > 0 &&
            http_find_control(value.data, value.data + value.length) != value.data + value.length)
                return err_set(err, -EINVAL, "the header '%s' has a control character",
                               text_quote(name).text);
        *ret_name = name;
        *ret_value = value;
        return 0;
}

static int write_header(struct buffer *buffer, struct slice line, struct said *said,
                        struct err *err)
{
        static const struct slice own[] = {
                {"connection", 10}, {"content-length", 14}, {"transfer-encoding", 17}};
        struct slice name = {0}, value = {0};
        int r = split_header(line, &name, &value, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
                if (slice_equal_fold(name, own[i]))
                        return err_set(err, -EINVAL,
                                       "%s is said for you: by --data, or by --no-keep-alive",
                                       text_quote(name).text);
        said->host = said->host || slice_equal_fold(name, SLICE("host"));
        said->accept = said->accept || slice_equal_fold(name, SLICE("accept"));
        said->user_agent = said->user_agent || slice_equal_fold(name, SLICE("user-agent"));
        said->content_type = said->content_type || slice_equal_fold(name, SLICE("content-type"));
        return buffer_printf(buffer, "%.*s: %.*s\r\n", (int)name.length, name.data,
                             (int)value.length, value.length > 0 ? value.data : "");
}

static int write_line(struct buffer *buffer, const struct request_form *form, struct err *err)
{
        struct slice target = form->url->target;
        int r;

        if (!http_is_token(form->method))
                return err_set(err, -EINVAL, "'%s' is not a method", text_quote(form->method).text);
        r = append(buffer, form->method);
        if (r == 0)
                r = append(buffer,
                           target.length > 0 && target.data[0] == '/' ? SLICE(" ") : SLICE(" /"));
        if (r == 0)
                r = append(buffer, target);
        return r < 0 ? r : append(buffer, SLICE(" HTTP/1.1\r\n"));
}

/* The lines that nobody has said and that have to be said. */
static int write_rest(struct buffer *buffer, const struct request_form *form,
                      const struct said *said)
{
        int r = 0;

        if (!said->user_agent)
                r = append(buffer, SLICE("User-Agent: magpie-bench/" MAGPIE_VERSION "\r\n"));
        if (r == 0 && !said->accept)
                r = append(buffer, SLICE("Accept: */*\r\n"));
        if (r == 0 && form->has_body && !said->content_type)
                r = append(buffer, SLICE("Content-Type: application/octet-stream\r\n"));
        if (r == 0 && form->has_body)
                r = buffer_printf(buffer, "Content-Length: %zu\r\n", form->body.length);
        if (r == 0 && !form->keep_alive)
                r = append(buffer, SLICE("Connection: close\r\n"));
        return r < 0 ? r : append(buffer, SLICE("\r\n"));
}

int request_write(struct buffer *buffer, const struct request_form *form, struct err *err)
{
        AUTO(buffer_deinit) struct buffer headers;
        struct said said = {0};
        int r = write_line(buffer, form, err);

        buffer_init(&headers, buffer->limit);
        for (size_t i = 0; r == 0 && i < form->header_count; i++)
                r = write_header(&headers, form->headers[i], &said, err);
        /* RFC 9112, section 3.2: Host comes first. */
        if (r == 0 && !said.host)
                r = buffer_printf(buffer, "Host: %.*s\r\n", (int)form->url->authority.length,
                                  form->url->authority.data);
        if (r == 0)
                r = append(buffer, buffer_slice(&headers));
        if (r == 0)
                r = write_rest(buffer, form, &said);
        if (r == 0 && form->has_body)
                r = append(buffer, form->body);
        if (r == -ENOBUFS || r == -ENOMEM)
                return err_set(err, r, "the request is too large");
        return r;
}
