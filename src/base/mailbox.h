/* How threads talk: a letter is posted from any thread and delivered on the owner's loop.
 *
 * A lock-free stack that the owner takes whole and turns round, so letters of one sender arrive in
 * order. The eventfd is written only when the box was empty.
 */
#pragma once

#include "base/loop.h"

#include <stdatomic.h>

struct letter {
        struct letter *next;
        void (*deliver)(struct letter *letter); /* on the owner's thread; may free the letter */
};

struct mailbox {
        struct loop *loop;
        struct loop_source source;
        int event_fd;
        _Atomic(struct letter *) newest;
};

int mailbox_init(struct mailbox *mailbox, struct loop *loop);
/* Undelivered letters are not touched: their owners free them. */
void mailbox_deinit(struct mailbox *mailbox);
/* From any thread. The letter belongs to the mailbox until it is delivered. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);
