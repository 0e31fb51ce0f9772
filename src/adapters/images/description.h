/* From an image's configuration and its root to what a function has of it (core/registry/image.h). */
#pragma once

#include "adapters/images/configuration.h"
#include "adapters/images/outcome.h"

/* Makes the image's WorkingDir, says who its User is, and whether its program is there and can be
 * run. The caller owns *ret_image. */
enum image_result description_make(const struct configuration *configuration, int root_fd,
                                   struct image **ret_image, struct err *err);
