/* Layers of functions; see layers.h. */
#include "agent/layers.h"

#include "agent/environment.h"
#include "base/auto.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
        const char *folder;         /* of the tree; NULL: whatever it has */
        enum agent_runtime runtime; /* 0: every one */
        const char *assignment;
} variables[] = {
        {NULL, 0, "MAGPIE_LAYERS=/opt"}, /* for the shims: where to look for modules */
        {"bin", 0, ENVIRONMENT_PATH ":/opt/bin"},
        {"lib", 0, "LD_LIBRARY_PATH=/opt/lib"},
        {"nodejs", AGENT_RUNTIME_NODE, "NODE_PATH=/opt/nodejs/node_modules"},
};

/* A link is taken for what it may lead to: it is the sandbox that follows it. */
static bool has_folder(int tree_fd, const char *name)
{
        struct stat status;

        return fstatat(tree_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
               (S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode));
}

static bool sets(const struct agent_spawn *request, const char *assignment)
{
        size_t length = strcspn(assignment, "=") + 1;

        for (size_t i = 0; i < request->env_count; i++)
                if (strncmp(request->env[i], assignment, length) == 0)
                        return true;
        return false;
}

int layers_open(const struct template *template, struct agent_spawn *request, int *ret_fd,
                struct err *err)
{
        AUTO(fd_close) int fd = -1;

        if (request->layers[0] == '\0')
                return 0;
        /* Kept before anybody tries a function on them. */
        fd = template_open_code(template, request->layers, false);
        if (fd < 0)
                return err_errno(err, fd, "opening the layers %s", request->layers);
        for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
                if ((variables[i].runtime && variables[i].runtime != request->runtime) ||
                    (variables[i].folder && !has_folder(fd, variables[i].folder)) ||
                    sets(request, variables[i].assignment) || request->env_count == AGENT_ENV_MAX)
                        continue;
                request->env[request->env_count++] = variables[i].assignment;
        }
        *ret_fd = fd_steal(&fd);
        return 0;
}
