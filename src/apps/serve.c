/* `magpie serve`: reads the settings and becomes the supervisor. */
#include "apps/serve.h"

#include "apps/serve_options.h"
#include "apps/supervisor.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#define EXIT_USAGE 2

int serve_main(int argc, char **argv)
{
        static struct serve_options options; /* outlives every thread */
        struct err err = {0};

        log_setup("magpie", LOG_INFO);
        switch (serve_options_read(argc, argv, &options, &err)) {
        case OPTIONS_HELP:
                serve_options_help();
                return 0;
        case OPTIONS_WRONG:
                (void)fprintf(stderr, "magpie serve: %s\nSee `magpie serve --help`.\n", err.text);
                return EXIT_USAGE;
        case OPTIONS_RUN:
                break;
        }
        if (geteuid() != 0) {
                (void)fprintf(stderr, "magpie serve: root is needed to make sandboxes (the gateway "
                                      "itself drops it). Try: sudo magpie serve\n");
                return 1;
        }
        return supervisor_run(&options);
}
