/* Taking a URL apart; see url.h. RFC 3986. */
#include "lab/url.h"

#include "base/text.h"
#include "wire/http_bytes.h"

#include <errno.h>

static int refuse(struct slice text, struct err *err, const char *why)
{
        return err_set(err, -EINVAL, "'%s' is not a URL to ask: %s", text_quote(text).text, why);
}

static struct slice take_scheme(struct slice *rest, bool *ret_is_tls)
{
        struct slice schemes[] = {SLICE("http://"), SLICE("https://")};

        for (size_t i = 0; i < 2; i++)
                if (slice_starts_with_fold(*rest, schemes[i])) {
                        *rest = slice_skip(*rest, schemes[i].length);
                        *ret_is_tls = i == 1;
                        return schemes[i];
                }
        *ret_is_tls = false;
        return (struct slice){0};
}

static bool parse_port(struct slice text, uint16_t *ret_port)
{
        unsigned port = 0;

        if (text.length == 0 || text.length > 5)
                return false;
        for (size_t i = 0; i < text.length; i++) {
                if (!http_is_digit(text.data[i]))
                        return false;
                port = port * 10 + (unsigned)(text.data[i] - '0');
        }
        *ret_port = (uint16_t)port;
        return port > 0 && port <= UINT16_MAX;
}

static bool is_address_v6(struct slice host)
{
        for (size_t i = 0; i < host.length; i++)
                if (!http_is_hex_digit(host.data[i]) && host.data[i] != ':' && host.data[i] != '.')
                        return false;
        return host.length > 1;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. NULL, or what is wrong. */
static const char *parse_authority(struct url *url)
{
        const char *at = url->authority.data, *end = at + url->authority.length, *stop;

        if (at < end && *at == '[') {
                stop = memchr(at, ']', (size_t)(end - at));
                if (!stop || !is_address_v6(slice_make(at + 1, (size_t)(stop - at - 1))))
                        return "its address in [] is not one";
                url->host = slice_make(at + 1, (size_t)(stop - at - 1));
                stop++;
        } else {
                stop = http_skip(at, end, HTTP_BYTE_HOST);
                url->host = slice_make(at, (size_t)(stop - at));
                if (url->host.length == 0)
                        return "it names no host";
        }
        url->port = url->is_tls ? 443 : 80;
        if (stop == end)
                return NULL;
        if (*stop != ':' || !parse_port(slice_make(stop + 1, (size_t)(end - stop - 1)), &url->port))
                return "behind its host stands no port";
        return NULL;
}

int url_parse(struct slice text, struct url *ret_url, struct err *err)
{
        struct slice rest = text;
        struct url url = {0};
        const char *problem, *fragment;
        size_t length = 0;

        if (text.length > URL_MAX)
                return refuse(text, err, "it is too long");
        if (take_scheme(&rest, &url.is_tls).length == 0 && rest.length > 0 &&
            memmem(rest.data, rest.length, "://", 3))
                return refuse(text, err, "its scheme is neither http nor https");
        fragment = rest.length > 0 ? memchr(rest.data, '#', rest.length) : NULL;
        if (fragment)
                rest.length = (size_t)(fragment - rest.data);
        while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?')
                length++;
        url.authority = slice_make(rest.data, length);
        url.target = slice_skip(rest, length);
        if (length > 0 && memchr(url.authority.data, '@', length))
                return refuse(text, err, "a user is said by a header, not in the URL");
        problem = parse_authority(&url);
        if (problem)
                return refuse(text, err, problem);
        if (http_skip(url.target.data, url.target.data + url.target.length, HTTP_BYTE_TARGET) !=
            url.target.data + url.target.length)
                return refuse(text, err, "its path has bytes that must be encoded (%20)");
        *ret_url = url;
        return 0;
}
