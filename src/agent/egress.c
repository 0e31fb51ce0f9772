/* The agent's side of outbound network; see egress.h. */
#include "agent/egress.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Opening takes some tens of milliseconds, and waits for an earlier keeper at most a few seconds. */
#define PATIENCE_S 15
#define RETRY_NS (2 * NS_PER_S)
/* Indices of interfaces; below are the router's own. */
#define NUMBER_FIRST 1000
#define NUMBER_LAST 0x3fffffff

static void egress_on_keeper(struct loop_source *source, uint32_t events);

void egress_init(struct egress *egress, const struct egress_settings *settings,
                 const char *data_dir, int own_fd, int proc_fd)
{
        *egress = (struct egress){
                .keeper_fd = -1,
                .router = {.namespace_fd = -1,
                           .route_fd = -1,
                           .own_fd = own_fd,
                           .proc_fd = proc_fd},
                .next_number = NUMBER_FIRST,
                .range_count = (uint32_t)settings->range_count,
        };
        loop_source_init(&egress->keeper, egress_on_keeper);
        egress->keeper_fd = egress_keeper_start(settings, data_dir, &egress->failure);
        if (egress->keeper_fd < 0)
                log_warn("there will be no outbound network: %s", egress->failure.text);
}

static void lose_keeper(struct egress *egress)
{
        if (egress->loop)
                loop_remove(egress->loop, &egress->keeper);
        fd_close(&egress->keeper_fd);
        (void)err_set(&egress->failure, -EPIPE,
                      "what makes outbound network has ended; it comes back when the node is "
                      "started again");
}

static void egress_on_keeper(struct loop_source *source, uint32_t events)
{
        struct egress *egress = CONTAINER_OF(source, struct egress, keeper);

        (void)events;
        lose_keeper(egress);
        log_error("%s", egress->failure.text);
}

int egress_watch(struct egress *egress, struct loop *loop)
{
        egress->loop = loop;
        return egress->keeper_fd < 0 ? 0
                                     : loop_add(loop, &egress->keeper, egress->keeper_fd, EPOLLIN);
}

void egress_deinit(struct egress *egress)
{
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        char byte;

        if (egress->loop)
                loop_remove(egress->loop, &egress->keeper);
        fd_close(&egress->router.route_fd);
        fd_close(&egress->router.namespace_fd);
        if (egress->keeper_fd < 0)
                return;
        (void)setsockopt(egress->keeper_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        (void)shutdown(egress->keeper_fd, SHUT_WR);
        (void)recv(egress->keeper_fd, &byte, sizeof(byte), 0); /* its end */
        fd_close(&egress->keeper_fd);
}

static int receive_answer(int keeper_fd, struct egress_answer *ret_answer, int ret_fds[2])
{
        struct iovec part = {.iov_base = ret_answer, .iov_len = sizeof(*ret_answer)};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t length = recvmsg(keeper_fd, &message, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *header;

        if (length != sizeof(*ret_answer))
                return length < 0 ? -errno : -EPIPE;
        header = CMSG_FIRSTHDR(&message);
        ret_fds[0] = ret_fds[1] = -1;
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(2 * sizeof(int)))
                memcpy(ret_fds, CMSG_DATA(header), 2 * sizeof(int));
        return 0;
}

/* The keeper is a child of the house: what it answers is believed. */
static int ask(struct egress *egress, const struct egress_request *request,
               struct egress_answer *ret_answer, int ret_fds[2])
{
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        int r;

        (void)setsockopt(egress->keeper_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (send(egress->keeper_fd, request, sizeof(*request), MSG_NOSIGNAL) < 0) {
                lose_keeper(egress);
                return egress->failure.code;
        }
        r = receive_answer(egress->keeper_fd, ret_answer, ret_fds);
        if (r < 0) {
                lose_keeper(egress);
                return egress->failure.code;
        }
        return ret_answer->err.code;
}

static int ensure_open(struct egress *egress, uint64_t now_ns, struct err *err)
{
        static const struct egress_request request = {.type = EGRESS_OPEN};
        struct egress_answer answer = {.mtu = 0};
        int fds[2] = {-1, -1};

        if (egress->router.namespace_fd >= 0 && egress->keeper_fd >= 0)
                return 0;
        if (egress->keeper_fd >= 0 && now_ns >= egress->not_before_ns) {
                if (ask(egress, &request, &answer, fds) == 0) {
                        egress->router.namespace_fd = fds[0];
                        egress->router.route_fd = fds[1];
                        egress->router.mtu = answer.mtu;
                        egress->addresses = answer.addresses;
                        egress->next_offset = EGRESS_ADDRESSES_RESERVED;
                        return 0;
                }
                if (answer.err.code != 0)
                        egress->failure = answer.err;
                egress->not_before_ns = now_ns + RETRY_NS;
        }
        if (err)
                *err = egress->failure;
        return egress->failure.code;
}

static bool is_used(const struct egress *egress, uint32_t offset)
{
        return egress->used[offset / 64] >> offset % 64 & 1;
}

static uint32_t address_count(const struct egress *egress)
{
        uint64_t count = 1ull << (32 - egress->addresses.prefix);

        return count < EGRESS_ADDRESSES_MAX ? (uint32_t)count : EGRESS_ADDRESSES_MAX;
}

/* All have been used once: what they were used for is forgotten before they are used again. */
static int begin_anew(struct egress *egress, struct err *err)
{
        struct egress_request request = {.type = EGRESS_FORGET};
        struct egress_answer answer = {.mtu = 0};
        int fds[2] = {-1, -1}, r;

        memcpy(request.kept, egress->used, sizeof(request.kept));
        r = ask(egress, &request, &answer, fds);
        if (r < 0) {
                if (err)
                        *err = answer.err.code != 0 ? answer.err : egress->failure;
                return r;
        }
        egress->next_offset = EGRESS_ADDRESSES_RESERVED;
        return 0;
}

static int take_address(struct egress *egress, uint32_t *ret_address, struct err *err)
{
        uint32_t count = address_count(egress);
        int r;

        if (egress->link_count >= count - EGRESS_ADDRESSES_RESERVED)
                return err_set(err, -EADDRNOTAVAIL,
                               "all %u addresses for outbound network are in use",
                               count - EGRESS_ADDRESSES_RESERVED);
        while (egress->next_offset >= count || is_used(egress, egress->next_offset)) {
                egress->next_offset++;
                if (egress->next_offset < count)
                        continue;
                r = begin_anew(egress, err);
                if (r < 0)
                        return r;
        }
        egress->used[egress->next_offset / 64] |= 1ull << egress->next_offset % 64;
        egress->link_count++;
        *ret_address = egress->addresses.first + egress->next_offset++;
        return 0;
}

int egress_attach(struct egress *egress, int sandbox_fd, uint32_t reach, uint64_t now_ns,
                  struct egress_link *ret_link, struct err *err)
{
        struct egress_link link = {.number = egress->next_number};
        int r;

        if (reach >> egress->range_count != 0)
                return err_set(
                        err, -ENOENT,
                        "it may reach a range of addresses by a name that this node does not "
                        "know any more: magpie serve --egress-range");
        r = ensure_open(egress, now_ns, err);
        if (r == 0)
                r = take_address(egress, &link.address, err);
        if (r < 0)
                return r;
        egress->next_number = link.number == NUMBER_LAST ? NUMBER_FIRST : link.number + 1;
        *ret_link = link;
        return egress_link_make(&egress->router, sandbox_fd, &link, reach, err);
}

void egress_detach(struct egress *egress, struct egress_link *link)
{
        uint32_t offset = link->address - egress->addresses.first;

        if (link->address == 0)
                return;
        egress->used[offset / 64] &= ~(1ull << offset % 64);
        egress->link_count--;
        link->address = 0;
}
