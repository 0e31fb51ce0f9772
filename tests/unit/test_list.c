/* A sorted list has all its nodes, in order, and those that are equal as they were. */
#include "base/list.h"

#include "testing.h"

#define MOST 50

struct item {
        struct list link;
        unsigned key, number;
};

static bool has_less(const struct list *one, const struct list *other)
{
        return CONTAINER_OF(one, struct item, link)->key <
               CONTAINER_OF(other, struct item, link)->key;
}

static void expect_sorted(struct list *list, unsigned count)
{
        const struct item *item, *before = NULL;
        unsigned found = 0;

        LIST_FOR_EACH (item, list, link) {
                ck_assert(!before || before->key <= item->key);
                if (before && before->key == item->key)
                        ck_assert_uint_lt(before->number, item->number);
                ck_assert_ptr_eq(item->link.previous->next, &item->link);
                before = item;
                found++;
        }
        ck_assert_uint_eq(found, count);
        ck_assert_ptr_eq(list->previous->next, list);
}

TEST(a_list_is_sorted_and_what_is_equal_stays_as_it_was)
{
        static struct item items[MOST];
        uint32_t chance = 1;

        for (unsigned round = 0; round < 1000; round++) {
                unsigned count = round % (MOST + 1);
                struct list list;

                list_init(&list);
                for (unsigned i = 0; i < count; i++) {
                        chance = chance * 1664525u + 1013904223u;
                        items[i].key = (chance >> 16) % (1 + round / 10);
                        items[i].number = i;
                        list_push_back(&list, &items[i].link);
                }
                list_sort(&list, has_less);
                expect_sorted(&list, count);
        }
}
TEST_END

TEST_MAIN("list", a_list_is_sorted_and_what_is_equal_stays_as_it_was)
