/* Image references; see image_reference.h. */
#include "wire/image_reference.h"

#include "base/hash.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define DOCKER_REGISTRY "docker.io"
#define QUOTE(slice) text_quote(slice).text

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
        return c >= 'A' && c <= 'Z';
}

static bool is_word(char c)
{
        return is_lower(c) || is_upper(c) || is_digit(c) || c == '_';
}

bool sha256_parse(struct slice text, char ret_hex[SHA256_HEX_LENGTH + 1])
{
        static const char prefix[] = "sha256:";
        const size_t length = sizeof(prefix) - 1;

        if (text.length != length + SHA256_HEX_LENGTH || memcmp(text.data, prefix, length) != 0 ||
            !hex_is_valid(text.data + length, SHA256_HEX_LENGTH))
                return false;
        memcpy(ret_hex, text.data + length, SHA256_HEX_LENGTH);
        ret_hex[SHA256_HEX_LENGTH] = '\0';
        return true;
}

/* A host name or an IPv4 address, and perhaps a port. */
static bool registry_is_valid(struct slice registry)
{
        const char *colon =
                registry.length > 0 ? memchr(registry.data, ':', registry.length) : NULL;
        size_t host = colon ? (size_t)(colon - registry.data) : registry.length;

        if (host == 0 || registry.length > REGISTRY_MAX)
                return false;
        for (size_t i = 0; i < host; i++) {
                char c = registry.data[i];
                bool edge = i == 0 || i + 1 == host || registry.data[i - 1] == '.' ||
                            registry.data[i + 1] == '.';
                if (!((is_word(c) && c != '_') || (!edge && c == '-') ||
                      (i > 0 && i + 1 < host && c == '.' && registry.data[i - 1] != '.')))
                        return false;
        }
        if (!colon)
                return true;
        for (size_t i = host + 1; i < registry.length; i++)
                if (!is_digit(registry.data[i]))
                        return false;
        return registry.length > host + 1 && registry.length <= host + 6;
}

/* Between letters and digits: one '.', one or two '_', any number of '-'. */
static bool separator_is_valid(struct slice separator)
{
        for (size_t i = 0; i < separator.length; i++)
                if (separator.data[i] != separator.data[0])
                        return false;
        return separator.data[0] == '-' || separator.length == 1 ||
               (separator.data[0] == '_' && separator.length == 2);
}

static bool repository_is_valid(struct slice repository)
{
        bool begins = true; /* a part of the path: with a letter or a digit */
        size_t separator = 0;

        if (repository.length == 0 || repository.length > REPOSITORY_MAX)
                return false;
        for (size_t i = 0; i < repository.length; i++) {
                char c = repository.data[i];
                if (is_lower(c) || is_digit(c)) {
                        if (separator > 0 && !separator_is_valid(slice_make(
                                                     repository.data + i - separator, separator)))
                                return false;
                        begins = false;
                        separator = 0;
                } else if (begins || (c != '/' && c != '.' && c != '_' && c != '-')) {
                        return false;
                } else if (c == '/') {
                        begins = true;
                        if (separator > 0)
                                return false;
                } else {
                        separator++;
                }
        }
        return !begins && separator == 0;
}

static bool tag_is_valid(struct slice tag)
{
        if (tag.length == 0 || tag.length > TAG_MAX || !is_word(tag.data[0]))
                return false;
        for (size_t i = 1; i < tag.length; i++)
                if (!is_word(tag.data[i]) && tag.data[i] != '.' && tag.data[i] != '-')
                        return false;
        return true;
}

static const char *find_last(struct slice text, char c)
{
        return text.length > 0 ? memrchr(text.data, c, text.length) : NULL;
}

static struct slice before(struct slice text, const char *end)
{
        return slice_make(text.data, (size_t)(end - text.data));
}

static struct slice after(struct slice text, const char *at)
{
        return slice_skip(text, (size_t)(at - text.data) + 1);
}

static void copy(struct slice text, char *ret_text)
{
        memcpy(ret_text, text.data, text.length);
        ret_text[text.length] = '\0';
}

/* Takes the registry off the front, where there is one: what has a dot or a port, or is "localhost", can
 * only be that. */
static struct slice take_registry(struct slice *name)
{
        const char *slash = name->length > 0 ? memchr(name->data, '/', name->length) : NULL;
        struct slice first = slash ? before(*name, slash) : slice_make(NULL, 0);
        bool is_registry = slice_equal(first, SLICE("localhost"));

        for (size_t i = 0; i < first.length; i++)
                is_registry = is_registry || first.data[i] == '.' || first.data[i] == ':';
        if (!is_registry)
                return SLICE(DOCKER_REGISTRY);
        *name = after(*name, slash);
        return slice_equal(first, SLICE("index." DOCKER_REGISTRY)) ? SLICE(DOCKER_REGISTRY) : first;
}

static int refuse(struct slice text, const char *why, struct err *err)
{
        return err_set(err, -EINVAL,
                       "image '%s' is no reference such as registry.example/team/app:1.0: %s",
                       QUOTE(text), why);
}

int image_reference_parse(struct slice text, struct image_reference *ret_reference, struct err *err)
{
        struct image_reference reference = {0};
        struct slice name = text, registry, tag = SLICE("latest");
        const char *at = find_last(name, '@'), *colon, *slash;
        bool has_slash;

        if (at) {
                if (!sha256_parse(after(name, at), reference.digest))
                        return refuse(text, "its digest is not sha256: and 64 digits", err);
                name = before(name, at);
        }
        colon = find_last(name, ':');
        slash = find_last(name, '/');
        if (colon && (!slash || colon > slash)) {
                tag = after(name, colon);
                name = before(name, colon);
                if (!tag_is_valid(tag))
                        return refuse(text, "its tag has what tags have not", err);
        } else if (at) {
                tag = SLICE("");
        }
        registry = take_registry(&name);
        if (!registry_is_valid(registry))
                return refuse(text, "its registry is no host name", err);
        has_slash = find_last(name, '/') != NULL;
        if (slice_equal(registry, SLICE(DOCKER_REGISTRY)) && !has_slash &&
            name.length + sizeof("library/") <= sizeof(reference.repository)) {
                (void)snprintf(reference.repository, sizeof(reference.repository), "library/%.*s",
                               (int)name.length, name.length ? name.data : "");
                name = slice_of(reference.repository);
        }
        if (!repository_is_valid(name))
                return refuse(text,
                              "a repository has lower-case letters, digits, and '/', '.', '_' or "
                              "'-' between them",
                              err);
        copy(registry, reference.registry);
        if (name.data != reference.repository)
                copy(name, reference.repository);
        copy(tag, reference.tag);
        *ret_reference = reference;
        return 0;
}

void image_reference_locate(const struct image_reference *reference, const char *digest,
                            char ret_location[IMAGE_LOCATION_SIZE])
{
        if (!digest && reference->digest[0] != '\0')
                digest = reference->digest;
        (void)snprintf(ret_location, IMAGE_LOCATION_SIZE, "%s/%s%s%s", reference->registry,
                       reference->repository, digest ? "@sha256:" : ":",
                       digest ? digest : reference->tag);
}

static size_t host_length(const char *registry)
{
        return strcspn(registry, ":");
}

bool image_registry_is_loopback(const char *registry)
{
        char host[INET_ADDRSTRLEN] = "";
        size_t length = host_length(registry);
        struct in_addr address;

        if (length >= sizeof(host))
                return false;
        memcpy(host, registry, length);
        if (strcmp(host, "localhost") == 0)
                return true;
        return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool image_registry_is_listed(const char *registry, const char *list)
{
        size_t whole = strlen(registry), host = host_length(registry);

        while (*list != '\0') {
                size_t length;
                list += strspn(list, ", ");
                length = strcspn(list, ", ");
                if (length > 0 && (length == whole || length == host) &&
                    strncmp(list, registry, length) == 0)
                        return true;
                list += length;
        }
        return false;
}

void image_reference_name(const struct image_reference *reference, unsigned attempt, char *ret_name,
                          size_t size)
{
        const char *slash = strrchr(reference->repository, '/');
        const char *last = slash ? slash + 1 : reference->repository;
        char suffix[16] = "";
        size_t used = 0, room;

        if (attempt > 0)
                (void)snprintf(suffix, sizeof(suffix), "-%u", attempt + 1);
        room = size - 1 - strlen(suffix);
        for (; *last != '\0' && used < room; last++) {
                if (is_lower(*last) || is_digit(*last))
                        ret_name[used++] = *last;
                else if (used > 0 && ret_name[used - 1] != '-')
                        ret_name[used++] = '-';
        }
        while (used > 0 && ret_name[used - 1] == '-')
                used--;
        memcpy(ret_name + used, suffix, strlen(suffix) + 1);
}
