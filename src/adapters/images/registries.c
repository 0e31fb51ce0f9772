/* Registries that may be asked; see registries.h. */
#include "adapters/images/registries.h"

#include "base/text.h"
#include "wire/address_range.h"
#include "wire/image_reference.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

/* IANA's registry of special-purpose addresses (RFC 6890) as far as they are not reachable globally,
 * multicast, and what is reserved. */
static const struct address_range closed[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0a80000, 16}, {0xc6120000, 15},
        {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
};

static bool ipv4_is_global(uint32_t address)
{
        for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
                if (address_range_has(closed[i], address))
                        return false;
        return true;
}

/* Those that stand for an IPv4 address are as good as that: RFC 4291, section 2.5.5.2; RFC 6052. Of the
 * others 2000::/3 is global but for documentation, 6to4 and Teredo, which lead to whatever is in them. */
static bool ipv6_is_global(const struct in6_addr *address)
{
        static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};
        const uint8_t *bytes = address->s6_addr;
        uint32_t head, tail;

        memcpy(&head, bytes, sizeof(head));
        memcpy(&tail, bytes + 12, sizeof(tail));
        head = ntohl(head);
        if (IN6_IS_ADDR_V4MAPPED(address) || memcmp(bytes, translated, sizeof(translated)) == 0)
                return ipv4_is_global(ntohl(tail));
        return head >> 29 == 1 && head != 0x20010db8 && head != 0x20010000 && head >> 16 != 0x2002;
}

bool address_is_global(const struct sockaddr *address)
{
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;

        switch (address->sa_family) {
        case AF_INET:
                memcpy(&ipv4, address, sizeof(ipv4));
                return ipv4_is_global(ntohl(ipv4.sin_addr.s_addr));
        case AF_INET6:
                memcpy(&ipv6, address, sizeof(ipv6));
                return ipv6_is_global(&ipv6.sin6_addr);
        default:
                return false;
        }
}

static enum image_result refuse_address(const char *registry, const struct sockaddr *address,
                                        struct err *err)
{
        char text[NI_MAXHOST] = "?";
        socklen_t length = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                          : sizeof(struct sockaddr_in);

        (void)getnameinfo(address, length, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
        (void)err_set(
                err, -EACCES,
                "this server does not pull from the registry '%s': it is at %s, in a network of "
                "the server's own, and the operator has not named it",
                text_quote(slice_of(registry)).text, text);
        return IMAGE_REGISTRY_REFUSED;
}

enum image_result registries_check(const struct images_options *options, const char *registry,
                                   struct err *err)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        enum image_result result = IMAGE_READY;
        char host[REGISTRY_MAX + 1] = "";
        struct addrinfo *found;

        if (options->registries[0] != '\0') {
                if (image_registry_is_listed(registry, options->registries))
                        return IMAGE_READY;
                (void)err_set(err, -EACCES, "this server does not pull from the registry '%s'",
                              text_quote(slice_of(registry)).text);
                return IMAGE_REGISTRY_REFUSED;
        }
        if (image_registry_is_listed(registry, options->insecure_registries))
                return IMAGE_READY;
        memcpy(host, registry, strcspn(registry, ":"));
        if (getaddrinfo(host, NULL, &hints, &found) != 0)
                return IMAGE_READY;
        for (const struct addrinfo *at = found; at && result == IMAGE_READY; at = at->ai_next)
                if (!address_is_global(at->ai_addr))
                        result = refuse_address(registry, at->ai_addr, err);
        freeaddrinfo(found);
        return result;
}
