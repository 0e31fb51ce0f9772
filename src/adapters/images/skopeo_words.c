/* Reading skopeo's stderr; see skopeo_words.h. */
#include "adapters/images/skopeo_words.h"

#include <stdbool.h>
#include <string.h>

/* In this order: the first that is in the text counts. What is said of a blob comes before what is said
 * in the same words of a manifest. */
static const struct {
        struct slice words;
        enum image_result result;
} meanings[] = {
        {{"no space left on device", 23}, IMAGE_DISK_FULL},
        {{"disk quota exceeded", 19}, IMAGE_DISK_FULL},
        {{"Digest did not match", 20}, IMAGE_CORRUPT},
        {{"does not match", 14}, IMAGE_CORRUPT},
        {{"file too large", 14}, IMAGE_CORRUPT},
        {{"fetching blob: invalid status code from registry 404", 52}, IMAGE_CORRUPT},
        {{"blob unknown", 12}, IMAGE_CORRUPT},
        {{"Size mismatch", 13}, IMAGE_CORRUPT},
        {{"unexpected EOF", 14}, IMAGE_CORRUPT},
        {{"unauthorized", 12}, IMAGE_NOT_ALLOWED},
        {{"authentication required", 23}, IMAGE_NOT_ALLOWED},
        {{"invalid username/password", 25}, IMAGE_NOT_ALLOWED},
        {{"denied", 6}, IMAGE_NOT_ALLOWED},
        {{"403 (Forbidden)", 15}, IMAGE_NOT_ALLOWED},
        {{"manifest unknown", 16}, IMAGE_UNKNOWN},
        {{"name unknown", 12}, IMAGE_UNKNOWN},
        {{"repository name not known", 25}, IMAGE_UNKNOWN},
        {{"404 (Not Found)", 15}, IMAGE_UNKNOWN},
        {{"connection refused", 18}, IMAGE_UNREACHABLE},
        {{"no such host", 12}, IMAGE_UNREACHABLE},
        {{"server misbehaving", 18}, IMAGE_UNREACHABLE},
        {{"no route to host", 16}, IMAGE_UNREACHABLE},
        {{"network is unreachable", 22}, IMAGE_UNREACHABLE},
        {{"timeout", 7}, IMAGE_UNREACHABLE},
        {{"x509", 4}, IMAGE_UNREACHABLE},
        {{"tls: ", 5}, IMAGE_UNREACHABLE},
        {{"HTTP response to HTTPS client", 29}, IMAGE_UNREACHABLE},
        {{"connection reset", 16}, IMAGE_UNREACHABLE},
        {{"toomanyrequests", 15}, IMAGE_UNREACHABLE},
        {{"invalid status code from registry 5", 35}, IMAGE_UNREACHABLE},
        {{"pinging container registry", 26}, IMAGE_UNREACHABLE},
};

static const char *find(struct slice text, struct slice words)
{
        return text.length >= words.length
                       ? memmem(text.data, text.length, words.data, words.length)
                       : NULL;
}

/* The last message, for those before it are warnings: from behind its quotation mark. */
static struct slice find_message(struct slice output)
{
        const struct slice mark = SLICE("msg=\"");
        struct slice message = output;
        const char *at;

        for (struct slice rest = output; (at = find(rest, mark));) {
                rest = slice_skip(rest, (size_t)(at - rest.data) + mark.length);
                message = rest;
        }
        return message;
}

/* Up to the closing mark; "\"" and "\\" lose their backslash. A longer text loses its front: the cause
 * comes last. */
void skopeo_sentence(struct slice output, char ret_sentence[SKOPEO_SENTENCE_MAX + 1])
{
        struct slice message = find_message(output);
        bool is_quoted = message.data != output.data;
        size_t used = 0;

        for (size_t i = 0; i < message.length; i++) {
                char c = message.data[i];
                if (is_quoted && c == '"')
                        break;
                if (is_quoted && c == '\\' && i + 1 < message.length)
                        c = message.data[++i];
                if ((unsigned char)c < 0x20 || c == 0x7f)
                        c = ' ';
                if (used == SKOPEO_SENTENCE_MAX) {
                        const size_t half = SKOPEO_SENTENCE_MAX / 2;
                        memmove(ret_sentence, ret_sentence + half, used - half);
                        used -= half;
                }
                ret_sentence[used++] = c;
        }
        while (used > 0 && ret_sentence[used - 1] == ' ')
                used--;
        ret_sentence[used] = '\0';
}

enum image_result skopeo_meaning(struct slice output)
{
        struct slice message = find_message(output);

        for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
                if (find(message, meanings[i].words))
                        return meanings[i].result;
        return IMAGE_FAILED;
}
