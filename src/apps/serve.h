/* The verb that is built into the program rather than into the command line's room. */
#pragma once

/* argv[0] is "serve". The exit code. */
int serve_main(int argc, char **argv);
