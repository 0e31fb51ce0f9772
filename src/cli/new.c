/* `magpie new NAME`: a folder with a function that works. */
#include "base/auto.h"
#include "base/buffer.h"
#include "cli/files.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/templates.h"
#include "core/registry/function.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (1u << 20)
#define NAME_HOLE "{{name}}"

/* An empty folder will do; anything in it will not. */
static int make_folder(const char *folder, struct err *err)
{
        AUTO(directory_close) DIR *directory = NULL;
        const struct dirent *entry;

        if (mkdir(folder, 0755) == 0)
                return 0;
        if (errno != EEXIST)
                return err_errno(err, -errno, "cannot make the folder '%s'", folder);
        directory = opendir(folder);
        if (!directory)
                return err_errno(err, -errno, "cannot open '%s'", folder);
        while ((entry = readdir(directory)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        return err_set(err, -ENOTEMPTY, "'%s' exists and is not empty", folder);
        return 0;
}

/* The template with the name in its holes. */
static int fill_in(const struct template_file *file, const char *name, struct buffer *text)
{
        struct slice rest = slice_make(file->data, file->length);
        int r = 0;

        while (rest.length > 0 && r == 0) {
                const char *hole = memmem(rest.data, rest.length, NAME_HOLE, strlen(NAME_HOLE));
                size_t length = hole ? (size_t)(hole - rest.data) : rest.length;
                r = buffer_append(text, rest.data, length);
                if (r == 0 && hole)
                        r = buffer_append_text(text, name);
                rest = slice_skip(rest, hole ? length + strlen(NAME_HOLE) : length);
        }
        return r;
}

static int write_file(const struct template_file *file, const char *folder, const char *name,
                      struct err *err)
{
        AUTO(memory_free) char *path = text_format("%s/%s", folder, file->name);
        AUTO(buffer_deinit) struct buffer text;
        AUTO(fd_close) int fd = -1;
        int r;

        buffer_init(&text, FILE_BYTES_MAX);
        r = fill_in(file, name, &text);
        if (r < 0)
                return err_errno(err, r, "cannot make '%s'", path);
        for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash;
             slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                (void)mkdir(path, 0755); /* what is wrong shows when the file is made */
                *slash = '/';
        }
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->executable ? 0755 : 0644);
        if (fd < 0)
                return err_errno(err, -errno, "cannot make '%s'", path);
        r = fd_write_all(fd, text.data, text.length);
        if (r < 0)
                return err_errno(err, r, "cannot write '%s'", path);
        (void)puts(path);
        return 0;
}

static int write_all(const char *folder, const char *name, const char *runtime, struct err *err)
{
        int r = make_folder(folder, err);

        for (const struct template_file *file = template_files; file->runtime && r == 0; file++)
                if (strcmp(file->runtime, runtime) == 0)
                        r = write_file(file, folder, name, err);
        return r;
}

static int check_runtime(const char *runtime)
{
        static const char *const names[] = {"python3", "node", "native", "exec", NULL};
        const char *nearest;

        for (const char *const *name = names; *name; name++)
                if (strcmp(*name, runtime) == 0)
                        return CLI_OK;
        nearest = text_nearest(runtime, names);
        if (nearest)
                return usage_error(&verb_new, "there is no runtime '%s'; did you mean %s?", runtime,
                                   nearest);
        return usage_error(&verb_new, "there is no runtime '%s': python3, node, native or exec",
                           runtime);
}

static int new_run(struct cli *cli, int argc, char **argv)
{
        AUTO(memory_free) char *folder = NULL;
        const char *runtime = "python3", *name;
        const struct option options[] = {
                {"runtime", 'r', OPTION_TEXT, "RUNTIME",
                 "python3 (the default), node, native or exec", &runtime},
                {0},
        };
        struct arguments arguments;
        struct err err;
        int exit_code;

        if (!options_parse(cli, &verb_new, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        exit_code = check_runtime(runtime);
        if (exit_code != CLI_OK)
                return exit_code;
        folder = text_copy(arguments.items[0]);
        while (strlen(folder) > 1 && text_ends_with(folder, "/"))
                folder[strlen(folder) - 1] = '\0';
        name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
        if (function_name_validate(slice_of(name), &err) < 0)
                return usage_error(&verb_new, "%s", err.text);
        if (write_all(folder, name, runtime, &err) < 0) {
                say_error("%s", err.text);
                if (err.code == -ENOTEMPTY)
                        say_hint("magpie deploy %s ships what is there; or choose another name",
                                 folder);
                return CLI_FAILED;
        }
        say_done("made %s, runtime %s", name, runtime);
        say_hint("magpie deploy %s", folder);
        return CLI_OK;
}

const struct verb verb_new = {
        .name = "new",
        .arguments = "NAME [OPTIONS]",
        .summary = "make a folder with a function to begin with",
        .about = "Makes the folder NAME with a small function in it that works, and prints the "
                 "files it made.",
        .examples = "  magpie new hello\n"
                    "  magpie new resize --runtime node\n",
        .group = VERB_START,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = new_run,
};
