/* Letters between threads; see mailbox.h. */
#include "base/mailbox.h"

#include "base/auto.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void mailbox_on_event(struct loop_source *source, uint32_t events)
{
        struct mailbox *mailbox = CONTAINER_OF(source, struct mailbox, source);
        struct letter *newest, *oldest = NULL;
        uint64_t count;

        (void)events;
        if (read(mailbox->event_fd, &count, sizeof(count)) < 0)
                return;
        newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
        while (newest) {
                struct letter *next = newest->next;
                newest->next = oldest;
                oldest = newest;
                newest = next;
        }
        while (oldest) {
                struct letter *next = oldest->next;
                oldest->deliver(oldest);
                oldest = next;
        }
}

int mailbox_init(struct mailbox *mailbox, struct loop *loop)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        mailbox->loop = loop;
        mailbox->event_fd = fd;
        atomic_init(&mailbox->newest, NULL);
        loop_source_init(&mailbox->source, mailbox_on_event);
        r = loop_add(loop, &mailbox->source, fd, EPOLLIN);
        if (r < 0)
                fd_close(&mailbox->event_fd);
        return r;
}

void mailbox_deinit(struct mailbox *mailbox)
{
        loop_remove(mailbox->loop, &mailbox->source);
        fd_close(&mailbox->event_fd);
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
        struct letter *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
        const uint64_t one = 1;

        do {
                letter->next = newest;
        } while (!atomic_compare_exchange_weak_explicit(
                &mailbox->newest, &newest, letter, memory_order_release, memory_order_relaxed));
        /* A full eventfd counter (2^64 - 2) cannot be reached; nothing else fails here. */
        if (!newest && write(mailbox->event_fd, &one, sizeof(one)) < 0)
                return;
}
