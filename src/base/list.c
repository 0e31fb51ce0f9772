/* Sorting of lists; see list.h. */
#include "base/list.h"

/* Both are sorted; what is equal of `list` comes first. `other` is empty afterwards. */
static void list_merge(struct list *list, struct list *other,
                       bool (*comes_first)(const struct list *one, const struct list *other))
{
        struct list *node = list->next, *next;

        while ((next = list_pop_front(other))) {
                while (node != list && !comes_first(next, node))
                        node = node->next;
                list_insert_between(next, node->previous, node);
        }
}

void list_sort(struct list *list,
               bool (*comes_first)(const struct list *one, const struct list *other))
{
        struct list rest, *node;
        size_t count = 0;

        for (node = list->next; node != list; node = node->next)
                count++;
        if (count < 2)
                return;
        list_init(&rest);
        for (size_t i = 0; i < count / 2; i++) {
                node = list->previous;
                list_remove(node);
                list_push_front(&rest, node);
        }
        list_sort(list, comes_first);
        list_sort(&rest, comes_first);
        list_merge(list, &rest, comes_first);
}
