/* The worker's end of the socket; see worker_socket.h. */
#include "init/worker_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

static int send_frame(int fd, const struct worker_frame *frame, int flags)
{
        char header[WORKER_HEADER_SIZE];
        struct iovec parts[] = {
                {.iov_base = header, .iov_len = sizeof(header)},
                {.iov_base = (void *)(uintptr_t)frame->meta.data, .iov_len = frame->meta.length},
                {.iov_base = (void *)(uintptr_t)frame->payload.data,
                 .iov_len = frame->payload.length},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};

        worker_frame_encode_header(frame, header);
        while (sendmsg(fd, &message, MSG_NOSIGNAL | flags) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

int worker_socket_send(const struct worker_frame *frame)
{
        return send_frame(WORKER_FD, frame, 0);
}

bool worker_socket_is_closed(void)
{
        struct pollfd socket = {.fd = WORKER_FD};

        return poll(&socket, 1, 0) > 0;
}

int worker_socket_try_send(int fd, const struct worker_frame *frame)
{
        return send_frame(fd, frame, MSG_DONTWAIT);
}

void worker_socket_refuse(const char *format, ...)
{
        char text[1024];
        struct worker_frame frame = {.type = WORKER_REFUSED};
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        frame.payload = slice_of(text);
        (void)worker_socket_send(&frame);
}
