/* An intrusive, circular, doubly linked list. The head is a node too; a node that is on no list
 * points to itself, so that list_remove() may be called twice. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
        struct list *next;
        struct list *previous;
};

#define CONTAINER_OF(pointer, type, member)                                                        \
        ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define LIST_FOR_EACH(item, head, member)                                                          \
        for (item = CONTAINER_OF((head)->next, __typeof__(*item), member);                         \
             &item->member != (head);                                                              \
             item = CONTAINER_OF(item->member.next, __typeof__(*item), member))

/* The current item may be removed or freed inside the loop. */
#define LIST_FOR_EACH_SAFE(item, after, head, member)                                              \
        for (item = CONTAINER_OF((head)->next, __typeof__(*item), member),                         \
            after = CONTAINER_OF(item->member.next, __typeof__(*item), member);                    \
             &item->member != (head);                                                              \
             item = after, after = CONTAINER_OF(item->member.next, __typeof__(*item), member))

static inline void list_init(struct list *list)
{
        list->next = list;
        list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
        return list->next == list;
}

static inline void list_insert_between(struct list *node, struct list *before, struct list *after)
{
        node->previous = before;
        node->next = after;
        before->next = node;
        after->previous = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
        list_insert_between(node, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *node)
{
        list_insert_between(node, head->previous, head);
}

static inline void list_remove(struct list *node)
{
        node->previous->next = node->next;
        node->next->previous = node->previous;
        list_init(node);
}

/* All nodes of a list become those of `to`, which is made by it. */
static inline void list_move(struct list *to, struct list *from)
{
        list_init(to);
        if (list_is_empty(from))
                return;
        list_insert_between(to, from->previous, from->next);
        list_init(from);
}

/* NULL where the list is empty. */
static inline struct list *list_peek_front(const struct list *head)
{
        return list_is_empty(head) ? NULL : head->next;
}

static inline struct list *list_peek_back(const struct list *head)
{
        return list_is_empty(head) ? NULL : head->previous;
}

static inline struct list *list_pop_front(struct list *head)
{
        struct list *node = list_peek_front(head);
        if (node)
                list_remove(node);
        return node;
}

/* Stable. Few comparisons: n log2 n. */
void list_sort(struct list *list,
               bool (*comes_first)(const struct list *one, const struct list *other));
