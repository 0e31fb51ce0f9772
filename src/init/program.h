/* The function's program: where it is, and how it is started. */
#pragma once

#include <limits.h>
#include <sys/types.h>

/* The path of the program that `name` means: itself where it has a slash, else the first of that
 * name in the environment's PATH that may be executed. 0, or a negative errno as execvp(3) has it. */
int program_find(const char *name, char ret_path[PATH_MAX]);

/* Starts the program that lies at `path`, with every signal as a program expects it; a script without
 * "#!" is the shell's, as execvp(3) has it. `arguments` begins with the program's name. `streams` become
 * its three standard ones; NULL: it has ours. Its pid, or the negative errno that tells why it cannot run. */
pid_t program_spawn(const char *path, char *const *arguments, char *const *environment,
                    const int *streams);

/* Starts what runs as long as the instance does, on our own standard streams. As above. */
pid_t program_start(char *const *command);
