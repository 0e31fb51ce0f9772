/* `magpie serve`: reads the settings and becomes the supervisor. */
#include "apps/serve.h"

#include "apps/serve_options.h"
#include "apps/supervisor.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/output.h"

#include <unistd.h>

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
                say_error("%s", err.text);
                say_hint("magpie serve --help shows how it is used");
                return CLI_USAGE;
        case OPTIONS_RUN:
                break;
        }
        if (geteuid() != 0) {
                say_error("root is needed to make sandboxes (the gateway itself drops it)");
                say_hint("sudo magpie serve");
                return CLI_FAILED;
        }
        return supervisor_run(&options);
}
