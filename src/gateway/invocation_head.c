/* The head of an INVOKE frame: its meta is what the function is told of the request. */
#include "gateway/invocation_parts.h"

struct meta_writer {
        char *at, *end;
        bool overflow;
};

static void meta_bytes(struct meta_writer *writer, const char *data, size_t length)
{
        if ((size_t)(writer->end - writer->at) < length) {
                writer->overflow = true;
                return;
        }
        memcpy(writer->at, data, length);
        writer->at += length;
}

static void meta_line(struct meta_writer *writer, struct slice text)
{
        if (text.length > 0)
                meta_bytes(writer, text.data, text.length);
        meta_bytes(writer, "\n", 1);
}

static void meta_header(struct meta_writer *writer, struct slice name, struct slice value)
{
        char *from = writer->at;

        meta_bytes(writer, name.data, name.length);
        for (char *c = from; c < writer->at; c++)
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c + ('a' - 'A'));
        meta_bytes(writer, ":", 1);
        meta_line(writer, value);
}

/* What the function must not be told by the client, or not at all. */
static bool meta_hides(const struct http_request *request, const struct invocation_request *wanted,
                       struct slice name)
{
        if (request->names_headers && http_request_lists(request, SLICE("connection"), name))
                return true; /* RFC 9110, section 7.6.1 */
        return http_header_reads_as(name, SLICE("magpie-user")) ||
               http_header_is_hop_by_hop(name) ||
               (!wanted->has_own_credentials && slice_equal_fold(name, SLICE("authorization")));
}

size_t invocation_write_head(const struct invocation *invocation,
                             const struct http_request *request,
                             const struct invocation_request *wanted, const char *peer,
                             bool complete, char *bytes, size_t capacity)
{
        struct meta_writer writer = {.at = bytes + WORKER_HEADER_SIZE, .end = bytes + capacity};
        struct worker_frame frame = {
                .type = WORKER_INVOKE,
                .flags = (uint8_t)((complete ? WORKER_FLAG_END : 0) |
                                   (wanted->url ? WORKER_FLAG_HTTP : 0)),
        };
        char *meta = writer.at;

        meta_line(&writer, slice_make(invocation->id, ID_LENGTH));
        meta_line(&writer, wanted->user ? slice_of(wanted->user->id) : SLICE(""));
        if (wanted->url) {
                meta_line(&writer, request->method_text);
                meta_line(&writer, wanted->path);
                meta_line(&writer, request->query);
                meta_line(&writer, slice_of(peer));
                meta_line(&writer, request->host);
                for (size_t i = 0; i < request->header_count; i++)
                        if (!meta_hides(request, wanted, request->headers[i].name))
                                meta_header(&writer, request->headers[i].name,
                                            request->headers[i].value);
        }
        if (writer.overflow || writer.at - meta > WORKER_META_MAX)
                return 0;
        frame.meta = slice_make(meta, (size_t)(writer.at - meta));
        worker_frame_encode_header(&frame, bytes);
        return (size_t)(writer.at - bytes);
}
