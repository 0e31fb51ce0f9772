/* Finding and checking the entry; see entry.h. */
#include "adapters/archive/entry.h"

#include "adapters/archive/member.h"
#include "adapters/archive/program.h"
#include "base/auto.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define QUOTE(string) text_quote(slice_of(string)).text
#define LIST_FILES 5 /* how many a sentence names */

struct language {
        const char *extensions[4]; /* of source files, in order of preference; NULL at the end */
        const char *described;
};

static const struct language python = {{".py"}, ".py"};
static const struct language node = {{".js", ".mjs", ".cjs"}, ".js, .mjs or .cjs"};

static bool has_extension(const char *path, const struct language *language)
{
        size_t length = strlen(path);

        for (size_t i = 0; language->extensions[i]; i++) {
                size_t extension = strlen(language->extensions[i]);
                if (length > extension &&
                    strcmp(path + length - extension, language->extensions[i]) == 0)
                        return true;
        }
        return false;
}

/* Files of `language` (NULL: all), at the top only if asked; *ret_first is one of them. */
static size_t count_files(const struct tree *tree, const struct language *language, bool at_top,
                          const char **ret_first)
{
        size_t count = 0;

        for (size_t i = tree->count; i-- > 0;) {
                const struct tree_node *file = &tree->nodes[i];
                if (file->kind != TREE_FILE || (at_top && strchr(file->path, '/')) ||
                    (language && !has_extension(file->path, language)))
                        continue;
                *ret_first = file->path;
                count++;
        }
        return count;
}

struct listing {
        char text[LIST_FILES * (TEXT_QUOTE_MAX + 8) + 32];
};

/* "it has a.py, b.py and 3 more files" */
static struct listing list_files(const struct tree *tree, const struct language *language)
{
        struct listing listing = {.text = "it has "};
        size_t used = strlen(listing.text), count = 0;

        for (size_t i = 0; i < tree->count; i++) {
                const struct tree_node *file = &tree->nodes[i];
                if (file->kind != TREE_FILE || (language && !has_extension(file->path, language)))
                        continue;
                if (count++ < LIST_FILES)
                        used += (size_t)snprintf(listing.text + used, sizeof(listing.text) - used,
                                                 "%s%s", count > 1 ? ", " : "", QUOTE(file->path));
        }
        if (count == 0 && language)
                return list_files(tree, NULL);
        if (count > LIST_FILES)
                (void)snprintf(listing.text + used, sizeof(listing.text) - used,
                               " and %zu more files", count - LIST_FILES);
        return listing;
}

static bool is_file(int root_fd, const char *path)
{
        AUTO(fd_close) int fd = tree_open_file(root_fd, path, O_PATH);

        return fd >= 0;
}

static bool has_source(int root_fd, const char *stem, const struct language *language)
{
        char path[HANDLER_MAX_LENGTH + 8];

        for (size_t i = 0; language->extensions[i]; i++) {
                (void)snprintf(path, sizeof(path), "%s%s", stem, language->extensions[i]);
                if (is_file(root_fd, path))
                        return true;
        }
        return false;
}

static bool is_identifier(const char *name)
{
        for (const char *c = name; *c != '\0'; c++) {
                bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' ||
                              *c == '$' || (unsigned char)*c >= 0x80;
                if (!letter && !(c > name && *c >= '0' && *c <= '9'))
                        return false;
        }
        return name[0] != '\0';
}

/* `stem` ends where the last dot of the handler is; false where it is not of that form. */
static bool handler_split(const char *handler, char ret_stem[HANDLER_MAX_LENGTH + 1],
                          const char **ret_function)
{
        const char *dot = strrchr(handler, '.');

        if (!dot || dot == handler || !is_identifier(dot + 1))
                return false;
        memcpy(ret_stem, handler, (size_t)(dot - handler));
        ret_stem[dot - handler] = '\0';
        *ret_function = dot + 1;
        return true;
}

static enum stage_result check_source(int root_fd, const struct tree *tree,
                                      const struct language *language, struct function *function,
                                      struct err *err)
{
        char stem[HANDLER_MAX_LENGTH + 1], path[MEMBER_PATH_MAX + 1];
        const char *name;
        struct err why;
        size_t length;

        if (!handler_split(function->handler, stem, &name))
                return bundle_refuse(err,
                                     "handler '%s' is not of the form file.function, such as "
                                     "main.handler",
                                     QUOTE(function->handler));
        if (member_path_clean(slice_of(stem), path, &why) < 0)
                return bundle_refuse(err, "handler '%s': %s", QUOTE(function->handler), why.text);
        if (!has_source(root_fd, path, language))
                return bundle_refuse(err, "handler '%s': the bundle has no '%s' with %s; %s",
                                     QUOTE(function->handler), QUOTE(path), language->described,
                                     list_files(tree, language).text);
        /* Cleaning only ever shortens: the new spelling fits where the old one was. */
        length = strlen(path);
        memmove(function->handler + length + 1, name, strlen(name) + 1);
        memcpy(function->handler, path, length);
        function->handler[length] = '.';
        return STAGE_DONE;
}

static enum stage_result choose_source(int root_fd, const struct tree *tree,
                                       const struct language *language, struct function *function,
                                       struct err *err)
{
        static const char *const usual[] = {"main", "index"};
        const char *only = NULL;
        size_t stem;

        for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
                if (!has_source(root_fd, usual[i], language))
                        continue;
                (void)snprintf(function->handler, sizeof(function->handler), "%s.handler",
                               usual[i]);
                return STAGE_DONE;
        }
        if (count_files(tree, language, true, &only) != 1 &&
            count_files(tree, language, false, &only) != 1)
                return bundle_refuse(err,
                                     "give a handler: the bundle has no source file called main or "
                                     "index, and not just one with %s; %s",
                                     language->described, list_files(tree, language).text);
        stem = (size_t)(strrchr(only, '.') - only);
        if (stem + strlen(".handler") > HANDLER_MAX_LENGTH)
                return bundle_refuse(err, "the path '%s' is too long for a handler", QUOTE(only));
        (void)snprintf(function->handler, sizeof(function->handler), "%.*s.handler", (int)stem,
                       only);
        return STAGE_DONE;
}

static enum stage_result choose_program(int root_fd, const struct tree *tree,
                                        struct function *function, struct err *err)
{
        const char *usual[] = {"main", "bootstrap", function->name};
        const char *path = NULL;

        if (count_files(tree, NULL, false, &path) != 1) {
                path = NULL;
                for (size_t i = 0; !path && i < sizeof(usual) / sizeof(usual[0]); i++)
                        path = is_file(root_fd, usual[i]) ? usual[i] : NULL;
        }
        if (!path)
                return bundle_refuse(err,
                                     "give a handler: the bundle has no file called main, "
                                     "bootstrap or %s; %s",
                                     function->name, list_files(tree, NULL).text);
        if (strlen(path) > HANDLER_MAX_LENGTH)
                return bundle_refuse(err, "the path '%s' is too long for a handler", QUOTE(path));
        memmove(function->handler, path, strlen(path) + 1);
        return STAGE_DONE;
}

static enum stage_result check_program(int root_fd, const struct tree *tree,
                                       struct function *function, struct err *err)
{
        char path[MEMBER_PATH_MAX + 1];
        struct err why;

        if (member_path_clean(slice_of(function->handler), path, &why) < 0)
                return bundle_refuse(err, "handler: %s", why.text);
        if (!is_file(root_fd, path))
                return bundle_refuse(err, "handler '%s': the bundle has no such file; %s",
                                     QUOTE(function->handler), list_files(tree, NULL).text);
        memcpy(function->handler, path, strlen(path) + 1);
        return program_check(root_fd, path, function->runtime == RUNTIME_EXEC,
                             function->layer_count > 0, err);
}

/* The handler is the program's own business. */
static enum stage_result check_bootstrap(int root_fd, const struct tree *tree,
                                         const struct function *function, struct err *err)
{
        if (!is_file(root_fd, "bootstrap"))
                return bundle_refuse(err, "the bundle has no program called bootstrap; %s",
                                     list_files(tree, NULL).text);
        return program_check(root_fd, "bootstrap", true, function->layer_count > 0, err);
}

static enum stage_result choose(int root_fd, const struct tree *tree, struct function *function,
                                struct err *err)
{
        const struct language *language = function->runtime == RUNTIME_NODE ? &node : &python;
        enum stage_result result = STAGE_DONE;
        bool given = function->handler[0] != '\0';

        switch (function->runtime) {
        case RUNTIME_PYTHON3:
        case RUNTIME_NODE:
                return given ? check_source(root_fd, tree, language, function, err)
                             : choose_source(root_fd, tree, language, function, err);
        case RUNTIME_NATIVE:
        case RUNTIME_EXEC:
                if (!given)
                        result = choose_program(root_fd, tree, function, err);
                return result == STAGE_DONE ? check_program(root_fd, tree, function, err) : result;
        case RUNTIME_PROVIDED:
                return check_bootstrap(root_fd, tree, function, err);
        case RUNTIME_IMAGE:
                break; /* has no bundle */
        }
        abort(); /* not a runtime: our own bug */
}

enum stage_result entry_choose(int root_fd, struct function *function, struct err *err)
{
        enum stage_result result;
        struct tree tree;
        int r = tree_read(root_fd, &tree);

        if (r < 0)
                return bundle_fail(err, r, "reading the unpacked bundle");
        result = choose(root_fd, &tree, function, err);
        tree_deinit(&tree);
        return result;
}

/* Does a line begin as only a module's can? */
static bool looks_like_module(struct slice code)
{
        while (code.length > 0) {
                const char *end = memchr(code.data, '\n', code.length);
                if (slice_starts_with(code, SLICE("import ")) ||
                    slice_starts_with(code, SLICE("import{")) ||
                    slice_starts_with(code, SLICE("export ")))
                        return true;
                code = slice_skip(code, end ? (size_t)(end - code.data) + 1 : code.length);
        }
        return false;
}

void entry_file_name(const struct function *function, struct slice code, char *ret_name)
{
        bool is_source = function->runtime == RUNTIME_PYTHON3 || function->runtime == RUNTIME_NODE;
        const char *extension = function->runtime == RUNTIME_PYTHON3 ? ".py"
                                : looks_like_module(code)            ? ".mjs"
                                                                     : ".js";
        char stem[HANDLER_MAX_LENGTH + 1];
        const char *name;

        if (!is_source)
                (void)snprintf(ret_name, HANDLER_MAX_LENGTH + 8, "%s",
                               function->handler[0] != '\0' ? function->handler : function->name);
        else if (handler_split(function->handler, stem, &name))
                (void)snprintf(ret_name, HANDLER_MAX_LENGTH + 8, "%s%s", stem, extension);
        else
                (void)snprintf(ret_name, HANDLER_MAX_LENGTH + 8, "main%s", extension);
}
