/* resolv.conf(5) as far as it names servers; see resolver_list.h. */
#include "wire/resolver_list.h"

#include <arpa/inet.h>
#include <net/if.h>

#define DNS_PORT 53
#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE)

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static struct slice take_line(struct slice *text)
{
        const char *end = memchr(text->data, '\n', text->length);
        size_t length = end ? (size_t)(end - text->data) : text->length;
        struct slice line = slice_make(text->data, length);

        *text = slice_skip(*text, end ? length + 1 : length);
        return line;
}

static struct slice take_word(struct slice *line)
{
        struct slice word;

        while (line->length > 0 && is_blank(line->data[0]))
                *line = slice_skip(*line, 1);
        word = slice_make(line->data, 0);
        while (word.length < line->length && !is_blank(line->data[word.length]))
                word.length++;
        *line = slice_skip(*line, word.length);
        return word;
}

static bool parse_address(struct slice word, union resolver_address *ret_address)
{
        union resolver_address address = {.v6 = {.sin6_port = htons(DNS_PORT)}};
        char text[ADDRESS_TEXT_MAX], *scope;

        if (word.length >= sizeof(text) || memchr(word.data, '\0', word.length))
                return false;
        memcpy(text, word.data, word.length);
        text[word.length] = '\0';
        if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
                address.v4.sin_family = AF_INET;
                *ret_address = address;
                return true;
        }
        scope = strchr(text, '%');
        if (scope)
                *scope++ = '\0';
        if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) != 1)
                return false;
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_scope_id = scope ? if_nametoindex(scope) : 0;
        *ret_address = address;
        return true;
}

void resolver_list_parse(struct slice text, struct resolver_list *ret_list)
{
        struct resolver_list list = {.count = 0};

        while (text.length > 0 && list.count < RESOLVERS_MAX) {
                struct slice line = take_line(&text);
                if (slice_equal(take_word(&line), SLICE("nameserver")) &&
                    parse_address(take_word(&line), &list.addresses[list.count]))
                        list.count++;
        }
        if (list.count == 0) {
                list.addresses[0].v4 = (struct sockaddr_in){
                        .sin_family = AF_INET,
                        .sin_port = htons(DNS_PORT),
                        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                };
                list.count = 1;
        }
        *ret_list = list;
}

socklen_t resolver_address_size(const union resolver_address *address)
{
        return address->base.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}
