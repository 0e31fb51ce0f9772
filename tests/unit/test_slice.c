/* Slices, lists and hashes: the small things that all else leans on. */
#include "base/auto.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/slice.h"

#include "testing.h"

#include <errno.h>
#include <fcntl.h>

TEST(slices_are_equal_by_their_bytes)
{
        ck_assert(slice_equal(SLICE("abc"), slice_of("abc")));
        ck_assert(slice_equal(SLICE(""), (struct slice){0}));
        ck_assert(slice_equal(SLICE("a\0b"), slice_make("a\0b", 3)));
        ck_assert(!slice_equal(SLICE("a\0b"), SLICE("a\0c")));
        ck_assert(!slice_equal(SLICE("abc"), SLICE("ab")));
        ck_assert(!slice_equal(SLICE("abc"), SLICE("abC")));
}
TEST_END

TEST(folding_ignores_the_case_of_ascii_letters_and_nothing_else)
{
        for (int a = 0; a < 256; a++) {
                for (int b = 0; b < 256; b++) {
                        char x = (char)a, y = (char)b;
                        bool letters = (a | 0x20) >= 'a' && (a | 0x20) <= 'z' && (a ^ b) == 0x20;
                        ck_assert_int_eq(slice_equal_fold(slice_make(&x, 1), slice_make(&y, 1)),
                                         a == b || letters);
                }
        }
}
TEST_END

TEST(folding_looks_behind_a_nul)
{
        ck_assert(slice_equal_fold(SLICE("a\0B"), SLICE("A\0b")));
        ck_assert(!slice_equal_fold(SLICE("a\0b"), SLICE("a\0c")));
        ck_assert(!slice_equal_fold(SLICE("ab"), SLICE("a")));
        ck_assert(slice_equal_fold((struct slice){0}, SLICE("")));
}
TEST_END

TEST(prefixes_are_found_and_skipped)
{
        ck_assert(slice_starts_with(SLICE("abc"), SLICE("ab")));
        ck_assert(slice_starts_with(SLICE("abc"), SLICE("")));
        ck_assert(!slice_starts_with(SLICE("abc"), SLICE("AB")));
        ck_assert(!slice_starts_with(SLICE("ab"), SLICE("abc")));
        ck_assert(slice_starts_with_fold(SLICE("abc"), SLICE("AB")));
        ck_assert(!slice_starts_with_fold(SLICE("ab"), SLICE("ABC")));
        ck_assert(slice_equal(slice_skip(SLICE("abc"), 2), SLICE("c")));
        ck_assert(slice_equal(slice_skip(SLICE("abc"), 3), SLICE("")));
}
TEST_END

struct item {
        struct list link;
        int number;
};

static void fill(struct list *head, struct item *items, int count)
{
        list_init(head);
        for (int i = 0; i < count; i++) {
                items[i].number = i;
                list_push_back(head, &items[i].link);
        }
}

TEST(a_list_keeps_the_order_of_both_ends)
{
        struct list head;
        struct item items[4], *item;
        int expected = 3;

        list_init(&head);
        ck_assert(list_is_empty(&head));
        ck_assert_ptr_null(list_peek_front(&head));
        ck_assert_ptr_null(list_peek_back(&head));
        ck_assert_ptr_null(list_pop_front(&head));
        for (int i = 0; i < 4; i++) {
                items[i].number = i;
                list_push_front(&head, &items[i].link);
        }
        LIST_FOR_EACH (item, &head, link) {
                ck_assert_int_eq(item->number, expected--);
        }
        ck_assert_int_eq(expected, -1);
        ck_assert_ptr_eq(list_peek_front(&head), &items[3].link);
        ck_assert_ptr_eq(list_peek_back(&head), &items[0].link);
        ck_assert_ptr_eq(list_pop_front(&head), &items[3].link);
        ck_assert_ptr_eq(list_peek_front(&head), &items[2].link);
}
TEST_END

TEST(a_node_may_be_removed_twice)
{
        struct list head;
        struct item items[3];

        fill(&head, items, 3);
        list_remove(&items[1].link);
        list_remove(&items[1].link);
        ck_assert(list_is_empty(&items[1].link));
        ck_assert_ptr_eq(head.next, &items[0].link);
        ck_assert_ptr_eq(items[0].link.next, &items[2].link);
        ck_assert_ptr_eq(items[2].link.previous, &items[0].link);
}
TEST_END

TEST(the_current_item_may_be_freed_in_a_safe_walk)
{
        struct list head;
        struct item *item, *after;
        int visited = 0;

        list_init(&head);
        for (int i = 0; i < 5; i++) {
                item = malloc(sizeof(*item));
                ck_assert_ptr_nonnull(item);
                list_push_back(&head, &item->link);
        }
        LIST_FOR_EACH_SAFE (item, after, &head, link) {
                list_remove(&item->link);
                free(item);
                visited++;
        }
        ck_assert_int_eq(visited, 5);
        ck_assert(list_is_empty(&head));
}
TEST_END

TEST(hashes_depend_on_every_byte_the_length_and_the_seed)
{
        char bytes[40] = {0};

        for (size_t length = 0; length < sizeof(bytes); length++) {
                uint64_t hash = hash_bytes(bytes, length, 1);
                ck_assert_uint_eq(hash, hash_bytes(bytes, length, 1));
                ck_assert_uint_ne(hash, hash_bytes(bytes, length, 2));
                ck_assert_uint_ne(hash, hash_bytes(bytes, length + 1, 1));
                for (size_t at = 0; at < length; at++) {
                        bytes[at] = 1;
                        ck_assert_uint_ne(hash, hash_bytes(bytes, length, 1));
                        bytes[at] = 0;
                }
        }
}
TEST_END

TEST(hashes_of_similar_keys_spread_over_a_small_table)
{
        int slots[256] = {0}, most = 0;

        for (uint32_t key = 0; key < 256 * 16; key++) {
                int *slot = &slots[hash_bytes(&key, sizeof(key), 42) & 255];
                if (++*slot > most)
                        most = *slot;
        }
        ck_assert_int_lt(most, 48); /* 16 on average */
}
TEST_END

TEST(bytes_are_spelt_in_lower_case_hexadecimal)
{
        char text[9];

        hex_encode("\x00\xff\x1a\x9f", 4, text);
        ck_assert_str_eq(text, "00ff1a9f");
        ck_assert(hex_is_valid(text, 8));
        ck_assert(hex_is_valid("", 0));
        ck_assert(!hex_is_valid("0A", 2));
        ck_assert(!hex_is_valid("0g", 2));
        ck_assert(!hex_is_valid("0\0", 2));
        ck_assert(!hex_is_valid(" 0", 2));
}
TEST_END

TEST(leaving_a_scope_closes_and_frees_what_was_not_stolen)
{
        int closed, kept;
        char *text;

        {
                AUTO(fd_close) int dropped = open("/dev/null", O_RDONLY | O_CLOEXEC);
                AUTO(fd_close) int stolen = open("/dev/null", O_RDONLY | O_CLOEXEC);
                AUTO(memory_free) char *memory = strdup("kept");
                AUTO(memory_free) char *lost = strdup("freed");
                ck_assert(dropped >= 0 && stolen >= 0 && memory && lost);
                closed = dropped;
                kept = fd_steal(&stolen);
                text = memory_steal(&memory);
        }
        ck_assert_int_eq(fcntl(closed, F_GETFD), -1);
        ck_assert_int_eq(errno, EBADF);
        ck_assert_int_ge(fcntl(kept, F_GETFD), 0);
        ck_assert_str_eq(text, "kept");
        fd_close(&kept);
        fd_close(&kept);
        ck_assert_int_eq(kept, -1);
        free(text);
}
TEST_END

TEST_MAIN("slice", slices_are_equal_by_their_bytes,
          folding_ignores_the_case_of_ascii_letters_and_nothing_else, folding_looks_behind_a_nul,
          prefixes_are_found_and_skipped, a_list_keeps_the_order_of_both_ends,
          a_node_may_be_removed_twice, the_current_item_may_be_freed_in_a_safe_walk,
          hashes_depend_on_every_byte_the_length_and_the_seed,
          hashes_of_similar_keys_spread_over_a_small_table,
          bytes_are_spelt_in_lower_case_hexadecimal,
          leaving_a_scope_closes_and_frees_what_was_not_stolen)
