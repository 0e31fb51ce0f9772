/* Which registries this server lets its users pull from.
 *
 * Whoever may deploy an image chooses whom the server talks to. So a registry at an address that only
 * somebody within the host's own network reaches (loopback, private, link-local and other ranges that
 * are not global) is refused unless the operator has named it.
 *
 * What this can see is where the registry's name leads at this moment. It does not see where skopeo is
 * led when it asks for the name again, where the registry redirects it to, or where it is to fetch a
 * token: who needs that closed names the registries that there are (`registries`), or closes the network.
 */
#pragma once

#include "adapters/images/images_disk.h"
#include "adapters/images/outcome.h"

#include <stdbool.h>
#include <sys/socket.h>

/* IMAGE_READY, or IMAGE_REGISTRY_REFUSED and a sentence. Asks for names, so it may take seconds. What has
 * no address is let pass: skopeo may go by a proxy, and says it better else. */
enum image_result registries_check(const struct images_options *options, const char *registry,
                                   struct err *err);

/* Does it lead out of the host's own networks? */
bool address_is_global(const struct sockaddr *address);
