/* Where the memory of Node's nursery lies: together. V8 asks for addresses here and there, as a defence
 * that siblings cannot have; each of them costs three pages of page tables, in the nursery and in each of its
 * copies: 640 KiB in all, which a birth copies and an end frees. The library is loaded in advance
 * (LD_PRELOAD), and this stands before the C library's function. */
#include <linux/mman.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#pragma GCC visibility push(default)
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
        __attribute__((alias("mmap")));
#pragma GCC visibility pop

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
        if (flags & MAP_ANONYMOUS && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
                address = NULL; /* a wish */
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
