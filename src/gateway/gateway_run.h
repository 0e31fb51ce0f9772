/* For the composition root: making, running and ending a gateway. */
#pragma once

#include "gateway/gateway.h"

/* Threads, loops and the scheduler; `listen_fds` holds one listening socket a thread, taken over.
 * Before gateway_run() the caller sets the ports (store, bundles, credentials, mac, crew, logs,
 * scheduler.host). The registry's store publishes its catalogs to gateway->listener. */
int gateway_init(struct gateway *gateway, const struct gateway_config *config,
                 const int *listen_fds);
/* Runs on the calling thread, and on the others, until it has drained. */
int gateway_run(struct gateway *gateway);
void gateway_deinit(struct gateway *gateway);

/* On the first thread: clients may come. Until then they wait in the listeners' backlogs. */
void gateway_accept(struct gateway *gateway);
/* On the first thread: no new connections; those under way are answered, instances end, and then
 * gateway_run() returns. Harmless when repeated. */
void gateway_drain(struct gateway *gateway);
