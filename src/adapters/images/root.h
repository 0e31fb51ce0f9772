/* The whole root file system of an image: its layers' files as hard links, in folders of its own.
 *
 * A sandbox then needs one bind mount, whatever the number of layers; docs/adr/0016 tells why. */
#pragma once

#include "adapters/images/patience.h"

/* What it takes beside its layers: folders, and files that cannot have another name. */
struct root_size {
        uint64_t bytes, bytes_max;
};

/* Puts a layer (layer.h) on those that are there: what it removes goes first, what it has replaces
 * what had the name; only folders are united. */
enum image_result root_add_layer(int root_fd, int layer_fd, const struct patience *patience,
                                 struct root_size *size, struct err *err);

/* What every sandbox has: the folders /proc, /sys, /dev and /tmp to be mounted on, and the files
 * /etc/hosts, /etc/hostname and /etc/resolv.conf, whatever the image had there. */
enum image_result root_add_fixtures(int root_fd, struct err *err);

/* Makes the folder (absolute) as the program would see it: links lead within the root. */
enum image_result root_make_folder(int root_fd, const char *path, struct err *err);

/* Opens as the program would: links lead within the root (openat2(2), RESOLVE_IN_ROOT). The
 * descriptor, or a negative errno. */
int root_open(int root_fd, const char *path, int flags);
