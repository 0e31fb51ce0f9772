/* Finding and starting programs; see program.h. */
#include "init/program.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define STANDARD_PATH "/usr/local/bin:/usr/bin:/bin"
#define SCRIPT_ARGUMENTS_MAX 1024
#define FILES_STANDARD 1024 /* open files: what select(2) can bear */

extern char **environ;

int program_find(const char *name, char ret_path[PATH_MAX])
{
        const char *folders = getenv("PATH"), *end;
        int failure = -ENOENT;

        if (strlen(name) >= PATH_MAX)
                return -ENAMETOOLONG;
        if (name[0] == '\0' || strchr(name, '/')) {
                strcpy(ret_path, name);
                return access(name, X_OK) < 0 ? -errno : 0;
        }
        if (!folders)
                folders = STANDARD_PATH;
        for (;; folders = end + 1) {
                int length;
                end = strchrnul(folders, ':');
                /* An empty one is the current folder. */
                length = snprintf(ret_path, PATH_MAX, "%.*s%s%s", (int)(end - folders), folders,
                                  end > folders ? "/" : "./", name);
                if (length < PATH_MAX && access(ret_path, X_OK) == 0)
                        return 0;
                if (length < PATH_MAX && errno == EACCES)
                        failure = -EACCES;
                if (*end == '\0')
                        return failure;
        }
}

static int become_script(const char *path, char *const *arguments, char *const *environment)
{
        const char *by_shell[SCRIPT_ARGUMENTS_MAX + 3] = {"sh", path};
        size_t count = 2;

        for (; arguments[count - 1]; count++) {
                if (count == SCRIPT_ARGUMENTS_MAX)
                        return E2BIG;
                by_shell[count] = arguments[count - 1];
        }
        (void)execve("/bin/sh", (char **)(uintptr_t)by_shell, environment);
        return errno;
}

/* In the child. Only returns where it fails: the errno. */
static int become(const char *path, char *const *arguments, char *const *environment,
                  const int *streams)
{
        struct sigaction standard = {.sa_handler = SIG_DFL};
        struct rlimit files;
        sigset_t none;

        for (int i = 0; streams && i < 3; i++)
                if (dup2(streams[i], i) < 0)
                        return errno;
        sigemptyset(&none);
        (void)sigaction(SIGPIPE, &standard, NULL);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        /* We may have raised our own. */
        if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > FILES_STANDARD) {
                files.rlim_cur = FILES_STANDARD;
                (void)setrlimit(RLIMIT_NOFILE, &files);
        }
        (void)execve(path, arguments, environment);
        return errno == ENOEXEC ? become_script(path, arguments, environment) : errno;
}

/* The child shares our memory until it executes, so its errno needs no pipe. */
pid_t program_spawn(const char *path, char *const *arguments, char *const *environment,
                    const int *streams)
{
        volatile int failure = 0;
        pid_t child = vfork();

        if (child == 0) {
                failure = become(path, arguments, environment, streams);
                _exit(127);
        }
        if (child < 0)
                return -errno;
        if (failure != 0) {
                (void)waitpid(child, NULL, 0);
                return -failure;
        }
        return child;
}

pid_t program_start(char *const *command)
{
        char path[PATH_MAX];
        int found = program_find(command[0], path);

        return found < 0 ? found : program_spawn(path, command, environ, NULL);
}
