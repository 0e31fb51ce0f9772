/* The settings of `magpie serve`: flag beats environment beats file beats default. */
#pragma once

#include "adapters/images/images_disk.h"
#include "base/err.h"
#include "gateway/gateway.h"
#include "wire/address_range.h"

struct serve_options {
        char listen[280]; /* HOST:PORT as given */
        char host[256];
        char port[16];
        char data_dir[4096]; /* absolute */
        char user[64];       /* who the gateway runs as; "" until it is chosen */
        bool stock;          /* sandboxes are made ahead of need */
        char egress_addresses[ADDRESS_RANGE_TEXT_MAX]; /* "": the agent's choice */
        /* What functions may reach by name, as it was said: the agent parses it again. */
        size_t range_count;
        char *ranges[NAMED_RANGES_MAX];
        struct images_options images; /* its texts are these: */
        char insecure_registries[1024], registries[1024];
        struct gateway_config gateway; /* data_dir points into this struct */
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

/* OPTIONS_WRONG with a sentence for the user. */
enum options_result serve_options_read(int argc, char **argv, struct serve_options *ret_options,
                                       struct err *err);
void serve_options_help(void);
