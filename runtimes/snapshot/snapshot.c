/* The nursery's pages, and a process that waits for its function; see snapshot.h. */
#include "snapshot.h"

#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 200 /* longer than a fork stands where functions start one after the other */

struct places snapshot_places;

/* ---- the nursery ---- */

static int keep_page(void *context, uint64_t address, const struct mapping *mapping)
{
        struct base *base = context;

        if (!(mapping->protection & PROT_READ) || mapping->kind == KIND_STACK)
                return 0;
        if (base->page_count == PAGES_MAX)
                return -E2BIG;
        memcpy(base->image + base->page_count * PAGE, (const void *)(uintptr_t)address, PAGE);
        base->pages[base->page_count++] =
                (struct page){.address = address, .hash = page_hash(address)};
        return 0;
}

static int fill_base(struct base *base)
{
        int r = maps_read(&snapshot_places.own->mine, false);

        if (r == 0 && getrandom(base->nursery, sizeof(base->nursery), 0) < 0)
                r = -errno;
        return r < 0 ? r : pages_visit(&snapshot_places.own->mine, keep_page, base);
}

/* Written through a mapping that ends before the seal; whoever forks off can only read. */
static int make_base(int fd, size_t most)
{
        void *address = (void *)(uintptr_t)snapshot_places.base;
        struct base *base;
        size_t size;
        int r;

        if (ftruncate(fd, (off_t)most) < 0)
                return -errno;
        base = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (base == MAP_FAILED)
                return -errno;
        r = fill_base(base);
        size = sizeof(*base) + base->page_count * PAGE;
        if (munmap(base, most) < 0 || r < 0)
                return r < 0 ? r : -errno;
        if (ftruncate(fd, (off_t)size) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ||
            mmap(address, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return -errno;
        return 0;
}

int snapshot_begin(void)
{
        const size_t most = sizeof(struct base) + PAGES_MAX * PAGE;
        const size_t own_size = (sizeof(struct own) + PAGE - 1) / PAGE * PAGE;
        char *start;
        int r, fd;

        if (sysconf(_SC_PAGESIZE) != (long)PAGE)
                return -ENOTSUP;
        /* Own pages between two that nobody can touch, so that no neighbour's mapping grows
         * together with them. */
        start = mmap(NULL, most + own_size + 2 * PAGE, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED ||
            mprotect(start + most + PAGE, own_size, PROT_READ | PROT_WRITE) < 0)
                return -errno;
        snapshot_places = (struct places){.base = (void *)start,
                                          .own = (void *)(start + most + PAGE),
                                          .end = start + most + own_size + 2 * PAGE};
        fd = memfd_create("magpie-nursery", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        r = fd < 0 ? -errno : make_base(fd, most);
        if (fd >= 0)
                (void)close(fd);
        if (r < 0)
                snapshot_places.base = NULL;
        return r;
}

/* ---- who waits ---- */

/* What loading needs is there before it is needed, so that no page fault is met then. */
static void touch(void *start, size_t size)
{
        unsigned char *bytes = start;

        for (size_t at = 0; at < size; at += PAGE)
                (void)__atomic_fetch_or(&bytes[at], 0, __ATOMIC_RELAXED);
}

static int get_ready(struct own *own)
{
        int r = maps_read(&own->mine, false);

        if (r == 0)
                r = traits_read(&own->traits);
        if (r == 0)
                r = changed_find(own, snapshot_places.base);
        touch(&own->header, sizeof(own->header));
        touch(own->theirs.mappings, 2 * PAGE);
        touch(own->theirs.paths, PAGE);
        touch(own->runs, 2 * PAGE);
        touch(own->hashes, 2 * PAGE);
        touch(own->message, PAGE);
        touch(own->stack + STACK_SIZE - 2 * PAGE, 2 * PAGE);
        return r;
}

static int take_descriptor(struct msghdr *message)
{
        struct cmsghdr *control = CMSG_FIRSTHDR(message);
        int fd;

        if (!control || control->cmsg_type != SCM_RIGHTS)
                return -ENOENT;
        memcpy(&fd, CMSG_DATA(control), sizeof(fd));
        if (fd == SNAPSHOT_FD)
                return 0;
        if (dup3(fd, SNAPSHOT_FD, O_CLOEXEC) < 0)
                return -errno;
        return close(fd);
}

static uint64_t now_ns(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool is_empty(void)
{
        return lseek(SNAPSHOT_FD, 0, SEEK_END) == 0;
}

static ssize_t receive(int socket_fd, struct msghdr *message)
{
        ssize_t length;

        do {
                length = recvmsg(socket_fd, message, MSG_CMSG_CLOEXEC);
        } while (length < 0 && errno == EINTR);
        return length < 0 ? -errno : length;
}

long snapshot_wait(int socket_fd, int *ret_has_fd)
{
        struct own *own = snapshot_places.own;
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {.iov_base = own->message, .iov_len = sizeof(own->message)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        struct pollfd request = {.fd = socket_fd, .events = POLLIN};
        int ready = -EAGAIN;
        ssize_t length;

        *ret_has_fd = 0;
        if (poll(&request, 1, QUIET_MS) == 0) /* nobody waits for us: time to look around */
                ready = get_ready(own);
        length = receive(socket_fd, &message);
        if (length < 0)
                return length;
        own->received_ns = now_ns();
        if (take_descriptor(&message) < 0)
                return length;
        if (ready == -EAGAIN)
                ready = get_ready(own);
        if (ready == 0 && is_empty())
                *ret_has_fd = 1;
        else if (ready == 0)
                (void)snapshot_load(SNAPSHOT_FD);
        if (!*ret_has_fd)
                (void)close(SNAPSHOT_FD);
        return length;
}

const void *snapshot_message(void)
{
        return snapshot_places.own->message;
}

uint64_t snapshot_age_us(void)
{
        return (now_ns() - snapshot_places.own->received_ns) / 1000;
}

void snapshot_forget(void)
{
        (void)madvise(snapshot_places.own, sizeof(*snapshot_places.own), MADV_DONTNEED);
}
