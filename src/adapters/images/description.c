/* What a function has of an image; see description.h. */
#include "adapters/images/description.h"

#include "adapters/archive/member.h"
#include "adapters/archive/program.h"
#include "adapters/images/accounts.h"
#include "adapters/images/root.h"
#include "base/auto.h"
#include "base/buffer.h"
#include "base/list.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PLACE_MAX (2 * MEMBER_PATH_MAX)
#define QUOTE(string) text_quote(slice_of(string)).text

struct description {
        const struct configuration *configuration;
        int root_fd;
        struct account account;
        char directory[MEMBER_PATH_MAX + 2];
        char home[ACCOUNT_HOME_MAX + sizeof("HOME=")];
        char stop_signal[sizeof("MAGPIE_STOP_SIGNAL=") + 3];
        size_t env_count;
        const char *env[IMAGE_ENV_MAX];
        struct err *err;
};

/* Accounts ---------------------------------------------------------------------------------------- */

/* A small file of the image, empty where there is none. */
static int read_file(int root_fd, const char *path, struct buffer *text)
{
        AUTO(fd_close) int fd = root_open(root_fd, path, O_RDONLY | O_NONBLOCK);
        struct stat status;
        char chunk[4096];
        ssize_t length;
        int r = 0;

        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (!S_ISREG(status.st_mode))
                return 0;
        while (r == 0 && (length = read(fd, chunk, sizeof(chunk))) > 0)
                r = buffer_append(text, chunk, (size_t)length);
        return r == 0 && length < 0 ? -errno : r;
}

static enum image_result find_account(struct description *self)
{
        AUTO(buffer_deinit) struct buffer users, groups;
        int r;

        buffer_init(&users, ACCOUNTS_FILE_MAX);
        buffer_init(&groups, ACCOUNTS_FILE_MAX);
        r = read_file(self->root_fd, "/etc/passwd", &users);
        if (r == 0)
                r = read_file(self->root_fd, "/etc/group", &groups);
        if (r == -ENOBUFS)
                return image_refuse(self->err, "the image's /etc/passwd or /etc/group is larger "
                                               "than 1 MiB");
        if (r < 0)
                return image_fail(self->err, r, "reading the image's /etc/passwd and /etc/group");
        return account_find(self->configuration->user, buffer_slice(&users), buffer_slice(&groups),
                            &self->account, self->err) < 0
                       ? IMAGE_REFUSED
                       : IMAGE_READY;
}

/* The program ------------------------------------------------------------------------------------- */

struct image_world {
        struct program_world world;
        int root_fd;
};

static bool image_has(const struct program_world *world, const char *interpreter)
{
        const struct image_world *self = CONTAINER_OF(world, struct image_world, world);
        AUTO(fd_close) int fd = root_open(self->root_fd, interpreter, O_PATH);
        struct stat status;

        return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
               (status.st_mode & 0111);
}

/* Opens what execve(2) would take: a file that may be executed. */
static int open_program(int root_fd, const char *path, struct stat *ret_status)
{
        AUTO(fd_close) int fd = root_open(root_fd, path, O_RDONLY | O_NONBLOCK);

        if (fd < 0)
                return fd;
        if (fstat(fd, ret_status) < 0)
                return -errno;
        if (!S_ISREG(ret_status->st_mode))
                return -EISDIR;
        return ret_status->st_mode & 0111 ? fd_steal(&fd) : -EACCES;
}

/* Where the program lies: below the folder where it has a slash, else on the PATH (execvpe(3)).
 * A negative errno of the first place that has it, or -ENOENT. */
static int find_program(const struct description *self, const char *word, char ret_path[PLACE_MAX],
                        struct stat *ret_status)
{
        const char *path = configuration_variable(self->configuration, "PATH");
        int fd = -ENOENT;

        if (strchr(word, '/')) {
                (void)snprintf(ret_path, PLACE_MAX, "%s/%s", word[0] == '/' ? "" : self->directory,
                               word);
                return open_program(self->root_fd, ret_path, ret_status);
        }
        for (const char *part = path ? path : PATH_DEFAULT; fd < 0; part++) {
                size_t length = strcspn(part, ":");
                int next;

                (void)snprintf(ret_path, PLACE_MAX, "%s/%.*s/%s",
                               part[0] == '/' ? "" : self->directory, (int)length, part, word);
                next = open_program(self->root_fd, ret_path, ret_status);
                if (next >= 0 || fd == -ENOENT)
                        fd = next == -ENOTDIR ? -ENOENT : next;
                part += length;
                if (*part == '\0')
                        break;
        }
        return fd;
}

static enum image_result check_content(const struct description *self, int fd, off_t size,
                                       const char *path)
{
        const struct image_world world = {
                .world = {.has = image_has, .advice = " in the image"},
                .root_fd = self->root_fd,
        };
        void *data =
                size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
        enum stage_result result;

        if (size == 0)
                return image_refuse(self->err, "the image's program '%s' is empty", QUOTE(path));
        if (data == MAP_FAILED)
                return image_fail(self->err, -errno, "reading '%s'", QUOTE(path));
        result = program_content_check(slice_make(data, (size_t)size), path, true, &world.world,
                                       self->err);
        (void)munmap(data, (size_t)size);
        if (result == STAGE_DONE)
                return IMAGE_READY;
        err_prefix(self->err, "the image's program");
        return IMAGE_REFUSED;
}

static enum image_result check_program(const struct description *self)
{
        const char *word = self->configuration->words[0];
        char path[PLACE_MAX];
        struct stat status;
        AUTO(fd_close) int fd = -1;

        if (word[0] == '\0')
                return image_refuse(self->err, "the image's program has no name");
        fd = find_program(self, word, path, &status);
        switch (fd) {
        case -ENOENT:
        case -ENOTDIR:
        case -ELOOP:
        case -ENAMETOOLONG:
                return image_refuse(self->err, "the image has no program '%s'", QUOTE(word));
        case -EACCES:
        case -EISDIR:
                return image_refuse(self->err, "the image's program '%s' cannot be executed",
                                    QUOTE(word));
        default:
                break;
        }
        if (fd < 0)
                return image_fail(self->err, fd, "opening '%s'", QUOTE(path));
        return check_content(self, fd, status.st_size, word);
}

/* Putting it together ------------------------------------------------------------------------------ */

static enum image_result find_directory(struct description *self)
{
        char path[MEMBER_PATH_MAX + 1];

        if (member_path_tidy(slice_of(self->configuration->directory), path, self->err) < 0) {
                err_prefix(self->err, "the image's WorkingDir");
                return IMAGE_REFUSED;
        }
        (void)snprintf(self->directory, sizeof(self->directory), "/%s", path);
        return root_make_folder(self->root_fd, self->directory, self->err);
}

/* A container has a PATH and a HOME, whatever the image says. How it is asked to end is for magpie-init:
 * src/init/contract.h. */
static enum image_result complete_env(struct description *self)
{
        const struct configuration *configuration = self->configuration;
        bool lacks_path = !configuration_variable(configuration, "PATH");
        bool lacks_home = !configuration_variable(configuration, "HOME");
        bool has_signal = configuration->stop_signal != 0;

        if (configuration->env_count + lacks_path + lacks_home + has_signal > IMAGE_ENV_MAX)
                return image_refuse(self->err, "the image's environment has more than %d variables",
                                    IMAGE_ENV_MAX - 3);
        memcpy(self->env, configuration->env, configuration->env_count * sizeof(self->env[0]));
        self->env_count = configuration->env_count;
        if (lacks_path)
                self->env[self->env_count++] = "PATH=" PATH_DEFAULT;
        (void)snprintf(self->home, sizeof(self->home), "HOME=%s",
                       self->account.home[0] ? self->account.home : "/");
        if (lacks_home)
                self->env[self->env_count++] = self->home;
        (void)snprintf(self->stop_signal, sizeof(self->stop_signal), "MAGPIE_STOP_SIGNAL=%d",
                       configuration->stop_signal);
        if (has_signal)
                self->env[self->env_count++] = self->stop_signal;
        return IMAGE_READY;
}

static enum image_result make_image(const struct description *self, struct image **ret_image)
{
        const struct image_parts parts = {
                .directory = self->directory,
                .user = self->account.user,
                .group = self->account.group,
                .word_count = self->configuration->word_count,
                .words = self->configuration->words,
                .env_count = self->env_count,
                .env = self->env,
        };
        int r = image_new(&parts, ret_image);

        if (r == -EINVAL)
                return image_refuse(self->err,
                                    "the image's command line and environment have more than %d "
                                    "bytes",
                                    IMAGE_TEXT_MAX);
        return r < 0 ? image_fail(self->err, r, "describing the image") : IMAGE_READY;
}

enum image_result description_make(const struct configuration *configuration, int root_fd,
                                   struct image **ret_image, struct err *err)
{
        struct description self = {.configuration = configuration, .root_fd = root_fd, .err = err};
        enum image_result result;

        if (configuration->word_count == 0)
                return image_refuse(err, "the image does not say what it runs: it has neither "
                                         "Entrypoint nor Cmd");
        result = find_account(&self);
        if (result == IMAGE_READY)
                result = find_directory(&self);
        if (result == IMAGE_READY)
                result = check_program(&self);
        if (result == IMAGE_READY)
                result = complete_env(&self);
        return result == IMAGE_READY ? make_image(&self, ret_image) : result;
}
