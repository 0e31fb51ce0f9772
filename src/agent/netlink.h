/* netlink(7) without a library: several requests in one message to the kernel, and its answers.
 *
 * A socket belongs to the network namespace that it was made in, whichever its owner is in later. The
 * kernel answers each request before sendmsg(2) returns, so nothing here waits.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_REQUESTS_MAX 4096
#define NETLINK_ATTRIBUTE_HEADER sizeof(struct nlattr) /* a multiple of NLA_ALIGNTO */

struct netlink_requests {
        size_t used, current; /* `current`: where the last request begins */
        uint32_t count;
        bool overflow;
        _Alignas(struct nlmsghdr) char bytes[NETLINK_REQUESTS_MAX];
};

/* A descriptor or a negative errno. */
int netlink_open(int protocol);

void netlink_init(struct netlink_requests *requests);
/* Begins a request with a header of its family (struct ifinfomsg, ...). Flags beside NLM_F_REQUEST and
 * NLM_F_ACK, which all have. */
void netlink_begin(struct netlink_requests *requests, uint16_t type, uint16_t flags,
                   const void *header, size_t header_size);
void netlink_put(struct netlink_requests *requests, uint16_t attribute, const void *data,
                 size_t size);
void netlink_put_u32(struct netlink_requests *requests, uint16_t attribute, uint32_t value);
void netlink_put_text(struct netlink_requests *requests, uint16_t attribute, const char *text);
/* Bytes that belong to no attribute. */
void netlink_put_raw(struct netlink_requests *requests, const void *data, size_t size);
/* What is put between the two lies inside of that attribute. */
size_t netlink_nest(struct netlink_requests *requests, uint16_t attribute);
void netlink_end_nest(struct netlink_requests *requests, size_t nest);

/* Sends all. 0, or the error of the first request that failed; the others were carried out. */
int netlink_send(int fd, struct netlink_requests *requests);

/* Sends the one request, which asks for a dump, and shows each message of the answer. */
int netlink_dump(int fd, struct netlink_requests *requests,
                 void (*show)(const struct nlmsghdr *message, void *context), void *context);

/* The attribute of that type behind a message's family header; NULL where there is none of at least
 * `least` bytes. */
const struct nlattr *netlink_find(const struct nlmsghdr *message, size_t header_size,
                                  uint16_t attribute, size_t least);
/* Inside of another. */
const struct nlattr *netlink_find_in(const struct nlattr *nest, uint16_t attribute, size_t least);

static inline const void *netlink_data(const struct nlattr *attribute)
{
        return (const char *)attribute + NETLINK_ATTRIBUTE_HEADER;
}
