/* The root file system of every sandbox, made once.
 *
 * The template is a mount namespace of its own: a small read-only tmpfs with /usr of the host, a
 * few files of /etc, four device nodes and /magpie. A sandbox's child enters it and takes a private
 * copy, so that only what is its own is mounted (/proc, /tmp, and /code and /opt when its function is
 * known).
 *
 * What is parked for an image enters another one instead: an empty, read-only root with the device
 * nodes, which stays behind, out of reach, when the image becomes the root (image_root.c).
 *
 * The agent itself moves into a second copy, which has the stores of code and of images besides, and
 * nothing else of the host: it cannot reach the host's files any more, and a sandbox never sees a store.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Files that are lent to sandboxes: one that its instance writes to, or a copy of one, the agent's own. */
enum template_cache { CACHE_TO_FILL, CACHE_KEPT };

struct template
{
        int namespace_fd;  /* the mount namespace to enter */
        int empty_fd;      /* the one for images */
        int init_fd;       /* magpie-init: there is no path to it in an empty root */
        int own_fd;        /* the agent's own */
        int code_fd;       /* DATA-DIR/code */
        int staging_fd;    /* DATA-DIR/staging */
        int images_fd;     /* DATA-DIR/images */
        int cache_fds[2];  /* a tmpfs for each kind, in the agent's own namespace alone */
        int cache_read_fd; /* that of the kept ones once more, read-only */
};

/* Afterwards the agent's own root is not the host's. `proc_fd`: the host's /proc. */
int template_make(struct template *template, const char *data_dir, int proc_fd, struct err *err);
void template_close(struct template *template);

/* The unpacked code `digest` as a mount that is attached nowhere yet. A descriptor or a negative
 * errno; -ENOENT where there is no such code. */
int template_open_code(const struct template *template, const char *digest, bool staging);
/* Attaches such a mount at /code of a sandbox's mount namespace, and beside it, unless they are -1,
 * another one at /opt and one of template_open_cache(). Gives its /tmp other options where `tmp_options`
 * is not NULL. */
int template_attach_code(const struct template *template, int namespace_fd, int code_fd,
                         int layers_fd, int cache_fd, const char *tmp_options);

/* image_root.c. The same for the root file system of an image. */
int template_open_image(const struct template *template, const char *digest);
/* Makes such a mount the root of the mount namespace of a sandbox with an empty root, with the sandbox's
 * /proc, /tmp and /dev in it. Processes whose root the other was have this one afterwards. `tmp_options`
 * as above. */
int template_enter_image(const struct template *template, int namespace_fd, int image_fd,
                         const char *tmp_options, struct err *err);
/* The agent has been in a sandbox's mount namespace. */
void template_come_back(const struct template *template);

/* A new, empty one, open; a mount of one, read-only where it is a kept one; its end. */
int template_make_cache(const struct template *template, enum template_cache kind, uint64_t number);
int template_open_cache(const struct template *template, enum template_cache kind, uint64_t number);
void template_remove_cache(const struct template *template, enum template_cache kind,
                           uint64_t number);
/* Readable whenever one that is to be filled has been closed after writing. */
int template_watch_caches(void);
