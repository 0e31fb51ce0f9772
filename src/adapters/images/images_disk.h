/* The port images: container images below DATA-DIR, pulled by skopeo; docs/adr/0016 tells why so.
 *
 *      layers/<diff id>/files/         one unpacked layer, with the marks of what it removes
 *                      /size           bytes that it takes, in decimal
 *      images/<manifest digest>/root/  the whole root, files as hard links of the layers'
 *                              /configuration.json     as the registry has it
 *                              /size   bytes of its layers, and of its own folders
 *      pulls/<random>/                 what is being pulled; emptied at start
 *
 * What has a name in layers/ or images/ is whole and never changed: it was made in pulls/ and renamed.
 * The time of last use is the modification time of images/<digest>. */
#pragma once

#include "ports/images.h"

struct images_options {
        uint64_t image_bytes_max;   /* unpacked, one image */
        uint32_t image_entries_max; /* files, links and folders of one image */
        uint64_t disk_bytes_max;    /* all images together, as far as no function has them */
        uint32_t pull_timeout_ms;
        uint32_t unused_keep_ms;         /* how long an image stays that no function has */
        const char *insecure_registries; /* names with commas between them; borrowed */
        const char *registries;          /* likewise: there are no others; "": any that is global */
};

/* Makes the three folders where they are missing. 0, or a negative errno and a sentence. */
int images_disk_open(const char *data_dir, const struct images_options *options,
                     struct images **ret_images, struct err *err);
/* No fetch may be under way. NULL is fine. */
void images_disk_close(struct images *images);
