/* Messages to and from the kernel; see netlink.h. */
#include "agent/netlink.h"

#include "base/auto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX 32768

int netlink_open(int protocol)
{
        AUTO(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        const int on = 1;

        if (fd < 0 || connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
                return -errno;
        (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)); /* shorter answers */
        return fd_steal(&fd);
}

void netlink_init(struct netlink_requests *requests)
{
        requests->used = requests->current = 0;
        requests->count = 0;
        requests->overflow = false;
}

/* NULL where there is no room, which netlink_send() reports. */
static void *take_room(struct netlink_requests *requests, size_t size)
{
        size_t padded = NLMSG_ALIGN(size);
        char *room = requests->bytes + requests->used;

        if (requests->overflow || size > NETLINK_REQUESTS_MAX ||
            padded > NETLINK_REQUESTS_MAX - requests->used) {
                requests->overflow = true;
                return NULL;
        }
        memset(room, 0, padded);
        requests->used += padded;
        ((struct nlmsghdr *)(void *)(requests->bytes + requests->current))->nlmsg_len =
                (uint32_t)(requests->used - requests->current);
        return room;
}

void netlink_begin(struct netlink_requests *requests, uint16_t type, uint16_t flags,
                   const void *header, size_t header_size)
{
        const struct nlmsghdr message = {
                .nlmsg_type = type,
                .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST |
                                          ((flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK)),
                .nlmsg_seq = requests->count + 1,
        };
        struct nlmsghdr *room;

        requests->current = requests->used;
        room = take_room(requests, sizeof(message));
        if (!room)
                return;
        *room = message;
        requests->count++;
        netlink_put_raw(requests, header, header_size);
}

void netlink_put_raw(struct netlink_requests *requests, const void *data, size_t size)
{
        void *room = take_room(requests, size);

        if (room)
                memcpy(room, data, size);
}

void netlink_put(struct netlink_requests *requests, uint16_t attribute, const void *data,
                 size_t size)
{
        struct nlattr *room = take_room(requests, NETLINK_ATTRIBUTE_HEADER + size);

        if (!room)
                return;
        room->nla_type = attribute;
        room->nla_len = (uint16_t)(NETLINK_ATTRIBUTE_HEADER + size);
        if (size > 0)
                memcpy((char *)room + NETLINK_ATTRIBUTE_HEADER, data, size);
}

void netlink_put_u32(struct netlink_requests *requests, uint16_t attribute, uint32_t value)
{
        netlink_put(requests, attribute, &value, sizeof(value));
}

void netlink_put_text(struct netlink_requests *requests, uint16_t attribute, const char *text)
{
        netlink_put(requests, attribute, text, strlen(text) + 1);
}

size_t netlink_nest(struct netlink_requests *requests, uint16_t attribute)
{
        size_t at = requests->used;

        netlink_put(requests, attribute | NLA_F_NESTED, NULL, 0);
        return at;
}

void netlink_end_nest(struct netlink_requests *requests, size_t nest)
{
        if (!requests->overflow)
                ((struct nlattr *)(void *)(requests->bytes + nest))->nla_len =
                        (uint16_t)(requests->used - nest);
}

/* Calls `show` for each message that is no answer of its own. 1: more is to come; 0: the end of a
 * dump; or an error. `left`: answers that are still to come. */
static int read_answers(const char *bytes, size_t length, uint32_t *left,
                        void (*show)(const struct nlmsghdr *message, void *context), void *context)
{
        int first_error = 0;

        while (length >= sizeof(struct nlmsghdr)) {
                const struct nlmsghdr *message = (const void *)bytes;
                size_t step = NLMSG_ALIGN((size_t)message->nlmsg_len);
                if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > length)
                        return -EBADMSG;
                if (message->nlmsg_type == NLMSG_DONE)
                        return 0;
                if (message->nlmsg_type == NLMSG_ERROR) {
                        const struct nlmsgerr *answer = (const void *)(message + 1);
                        if (message->nlmsg_len < sizeof(*message) + sizeof(*answer))
                                return -EBADMSG;
                        if (first_error == 0)
                                first_error = answer->error;
                        if (--*left == 0)
                                return first_error;
                } else if (show) {
                        show(message, context);
                }
                bytes += step;
                length = step < length ? length - step : 0;
        }
        return first_error < 0 ? first_error : 1;
}

/* Of earlier requests whose answers nobody has read. */
static void drop_old_answers(int fd)
{
        char bytes[256];

        while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

static int exchange(int fd, struct netlink_requests *requests,
                    void (*show)(const struct nlmsghdr *message, void *context), void *context)
{
        _Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
        uint32_t left = requests->count;
        int first_error = 0, r = 1;

        if (requests->overflow)
                return -EMSGSIZE;
        drop_old_answers(fd);
        if (send(fd, requests->bytes, requests->used, 0) < 0)
                return -errno;
        while (r != 0 && left > 0) {
                ssize_t length = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
                if (length < 0 && errno == EINTR)
                        continue;
                if (length < 0)
                        return first_error < 0 ? first_error : -errno;
                r = read_answers(answer, (size_t)length, &left, show, context);
                if (r < 0 && first_error == 0)
                        first_error = r;
                if (r == -EBADMSG)
                        break;
        }
        return first_error;
}

int netlink_send(int fd, struct netlink_requests *requests)
{
        return exchange(fd, requests, NULL, NULL);
}

int netlink_dump(int fd, struct netlink_requests *requests,
                 void (*show)(const struct nlmsghdr *message, void *context), void *context)
{
        return exchange(fd, requests, show, context);
}

static const struct nlattr *find(const char *bytes, size_t length, uint16_t wanted, size_t least)
{
        while (length >= NETLINK_ATTRIBUTE_HEADER) {
                const struct nlattr *attribute = (const void *)bytes;
                size_t step = NLMSG_ALIGN((size_t)attribute->nla_len);
                if (attribute->nla_len < NETLINK_ATTRIBUTE_HEADER || attribute->nla_len > length)
                        return NULL;
                if ((attribute->nla_type & NLA_TYPE_MASK) == wanted)
                        return attribute->nla_len >= NETLINK_ATTRIBUTE_HEADER + least ? attribute
                                                                                      : NULL;
                bytes += step;
                length = step < length ? length - step : 0;
        }
        return NULL;
}

const struct nlattr *netlink_find(const struct nlmsghdr *message, size_t header_size,
                                  uint16_t attribute, size_t least)
{
        size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(header_size);

        if (message->nlmsg_len < skip)
                return NULL;
        return find((const char *)message + skip, message->nlmsg_len - skip, attribute, least);
}

const struct nlattr *netlink_find_in(const struct nlattr *nest, uint16_t attribute, size_t least)
{
        return find(netlink_data(nest), (size_t)nest->nla_len - NETLINK_ATTRIBUTE_HEADER, attribute,
                    least);
}
