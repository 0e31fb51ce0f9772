/* Reading name, runtime and handler off the code; see guess.h. */
#include "cli/guess.h"

#include "base/auto.h"
#include "cli/guess_handler.h"
#include "cli/output.h"
#include "core/registry/function.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define HEAD_BYTES 4
#define PROGRAM_BYTES (64u << 20)

/* Words that magpie.h (runtimes/c) leaves in every program that includes it. */
#define SHIM_MARK "this program runs under magpie"

/* File names that people give the file with the handler, the likeliest first. */
static const struct {
        const char *name, *runtime;
} usual_names[] = {
        {"main.py", "python3"},  {"handler.py", "python3"}, {"function.py", "python3"},
        {"app.py", "python3"},   {"index.py", "python3"},   {"lambda_function.py", "python3"},
        {"index.mjs", "node"},   {"index.js", "node"},      {"main.mjs", "node"},
        {"main.js", "node"},     {"handler.mjs", "node"},   {"handler.js", "node"},
        {"function.js", "node"}, {"app.js", "node"},        {"index.cjs", "node"},
};

static const char *runtime_of_source(const char *name)
{
        if (text_ends_with(name, ".py"))
                return "python3";
        if (text_ends_with(name, ".js") || text_ends_with(name, ".mjs") ||
            text_ends_with(name, ".cjs"))
                return "node";
        return NULL;
}

static bool is_top_level(const struct package_file *file)
{
        return !strchr(file->name, '/');
}

/* The file that holds the handler: a usual name, or the only source of the runtime. NULL where that
 * does not decide. */
static const struct package_file *find_source(const struct package *package, const char *runtime)
{
        const struct package_file *only = NULL;

        for (size_t i = 0; i < sizeof(usual_names) / sizeof(usual_names[0]); i++) {
                const struct package_file *file = package_find(package, usual_names[i].name);
                if (file && strcmp(runtime, usual_names[i].runtime) == 0)
                        return file;
        }
        for (size_t i = 0; i < package->count; i++) {
                const struct package_file *file = &package->files[i];
                const char *of = runtime_of_source(file->name);
                if (!of || !is_top_level(file) || strcmp(runtime, of) != 0)
                        continue;
                if (only)
                        return NULL;
                only = file;
        }
        return only;
}

/* "native" for an ELF program with the shim in it, "exec" for any other program or script. */
static const char *runtime_of_program(const struct package *package,
                                      const struct package_file *file)
{
        AUTO(buffer_deinit) struct buffer head, program;

        buffer_init(&head, HEAD_BYTES);
        buffer_init(&program, PROGRAM_BYTES);
        if (package_peek(package, file, &head, NULL) < 0)
                return NULL;
        if (slice_starts_with(buffer_slice(&head), SLICE("#!")))
                return "exec";
        if (!slice_starts_with(buffer_slice(&head), SLICE("\177ELF")))
                return NULL;
        if (package_peek(package, file, &program, NULL) == 0 &&
            memmem(program.data, program.length, SHIM_MARK, strlen(SHIM_MARK)))
                return "native";
        return "exec";
}

/* Programs at the top: the one that the node would choose by its name, else the first. NULL where there
 * is none of this runtime (NULL: of either). `ret_count` says how many there are. */
static const struct package_file *find_program(const struct package *package, const char *runtime,
                                               const char *name, size_t *ret_count)
{
        const char *const usual[] = {"main", "bootstrap", name};
        const struct package_file *first = NULL, *found = NULL;

        *ret_count = 0;
        for (size_t i = 0; i < package->count; i++) {
                const struct package_file *file = &package->files[i];
                const char *of = is_top_level(file) ? runtime_of_program(package, file) : NULL;
                if (!of || (runtime && strcmp(of, runtime) != 0))
                        continue;
                (*ret_count)++;
                first = first ? first : file;
                for (size_t k = 0; k < sizeof(usual) / sizeof(usual[0]) && !found; k++)
                        if (strcmp(file->name, usual[k]) == 0)
                                found = file;
        }
        return found ? found : first;
}

static bool has_source(const struct package *package, const char *runtime)
{
        for (size_t i = 0; i < package->count; i++) {
                const char *of = runtime_of_source(package->files[i].name);
                if (of && is_top_level(&package->files[i]) && strcmp(of, runtime) == 0)
                        return true;
        }
        return false;
}

static int guess_runtime(struct manifest *manifest, const struct package *package, struct err *err)
{
        bool python = has_source(package, "python3"), node = has_source(package, "node");
        const struct package_file *program;
        const char *runtime = node ? "node" : python ? "python3" : NULL;
        size_t count;

        if (python && node && !package_find(package, "package.json"))
                return err_set(err, -EINVAL,
                               "'%s' holds Python and JavaScript; say --runtime python3 or "
                               "--runtime node",
                               package->path);
        if (!runtime) {
                program = find_program(package, NULL, manifest->name, &count);
                runtime = program ? runtime_of_program(package, program) : NULL;
                /* Where the node finds more than one file, it would not know which. */
                if (runtime && !manifest->handler)
                        manifest->handler = text_copy(program->name);
        }
        if (!runtime)
                return err_set(err, -EINVAL,
                               "cannot tell what runs '%s'; say --runtime python3, node, native or "
                               "exec",
                               package->path);
        manifest->runtime = text_copy(runtime);
        return 0;
}

/* "main.py" says nothing; the folder it lies in does. */
static bool name_is_common(const char *stem)
{
        static const char *const common[] = {"main", "index", "handler", "app", "function", "code"};

        for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
                if (strcmp(stem, common[i]) == 0)
                        return true;
        return false;
}

/* The folder's or file's own name. The caller frees. */
static char *plain_name(const struct package *package)
{
        AUTO(memory_free) char *full = realpath(package->path, NULL);
        char *base = full ? strrchr(full, '/') + 1 : NULL, *dot;

        if (!base)
                return text_copy("");
        dot = package->kind == PACKAGE_FOLDER ? NULL : strrchr(base, '.');
        if (dot && dot > base)
                *dot = '\0';
        if (package->kind != PACKAGE_FOLDER && name_is_common(base) && base - 1 > full) {
                base[-1] = '\0';
                base = strrchr(full, '/') + 1;
        }
        return text_copy(base);
}

/* That name in the letters that a function's name may have. */
static int guess_name(struct manifest *manifest, const struct package *package, struct err *err)
{
        AUTO(memory_free) char *plain = plain_name(package);
        char name[NAME_MAX_LENGTH + 1];
        size_t used = 0;

        for (const char *at = plain; *at && used < NAME_MAX_LENGTH; at++) {
                unsigned char letter = (unsigned char)tolower((unsigned char)*at);
                bool good = letter < 0x80 && isalnum(letter);
                if (good || (used > 0 && name[used - 1] != '-'))
                        name[used++] = good ? (char)letter : '-';
        }
        while (used > 0 && name[used - 1] == '-')
                used--;
        name[used] = '\0';
        if (used == 0)
                return err_set(err, -EINVAL, "what is it called? say --name NAME");
        if (function_name_is_reserved(slice_of(name)))
                return err_set(err, -EINVAL,
                               "the name '%s' is taken by the API itself; say --name NAME", name);
        manifest->name = text_copy(name);
        return 0;
}

/* Of a program whose runtime was said: the only one there is. Where there are several, the node may
 * know one by its name. */
static void guess_only_program(struct manifest *manifest, const struct package *package)
{
        size_t count;
        const struct package_file *program =
                find_program(package, manifest->runtime, manifest->name, &count);

        if (count == 1)
                manifest->handler = text_copy(program->name);
}

static int guess_handler(struct manifest *manifest, const struct package *package, struct err *err)
{
        const struct package_file *source;

        if (strcmp(manifest->runtime, "exec") == 0 || strcmp(manifest->runtime, "native") == 0) {
                guess_only_program(manifest, package);
                return 0;
        }
        if (strcmp(manifest->runtime, "python3") != 0 && strcmp(manifest->runtime, "node") != 0)
                return 0;
        source = find_source(package, manifest->runtime);

        if (!source)
                return err_set(err, -EINVAL,
                               "cannot tell which file of '%s' holds the handler; say --handler "
                               "FILE.FUNCTION",
                               package->path);
        return handler_find(package, source, &manifest->handler, err);
}

int guess_fill(struct manifest *manifest, const struct package *package, bool quiet,
               struct err *err)
{
        bool no_runtime = !manifest->runtime, no_name = !manifest->name;
        bool no_handler = !manifest->handler;
        int r = 0;

        if (no_name)
                r = guess_name(manifest, package, err);
        if (r == 0 && no_runtime)
                r = guess_runtime(manifest, package, err);
        if (r < 0)
                return r;
        if (no_name && !quiet)
                say_note("name:    %s (from '%s')", manifest->name, package->path);
        if (no_runtime && !quiet)
                say_note("runtime: %s (from the code)", manifest->runtime);
        assert(manifest->runtime);
        if (!manifest->handler)
                r = guess_handler(manifest, package, err);
        if (r == 0 && no_handler && manifest->handler && !quiet)
                say_note("handler: %s (from the code)", manifest->handler);
        return r;
}
