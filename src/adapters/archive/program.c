/* Programs and scripts; see program.h. */
#include "adapters/archive/program.h"

#include "base/auto.h"
#include "base/text.h"
#include "wire/elf_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FIRST_LINE_MAX 255 /* BINPRM_BUF_SIZE: what the kernel looks at, execve(2) */
#define QUOTE(slice) text_quote(slice).text

struct mapping {
        struct slice bytes;
};

static void mapping_unmap(struct mapping *mapping)
{
        if (mapping->bytes.length > 0)
                (void)munmap((void *)mapping->bytes.data, mapping->bytes.length);
}

/* Nobody else can change a staged file while it is mapped. */
static int mapping_make(int root_fd, const char *path, struct mapping *ret_mapping)
{
        AUTO(fd_close) int fd = tree_open_file(root_fd, path, O_RDONLY);
        struct stat status;
        void *data;

        if (fd < 0)
                return fd;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (status.st_size == 0) {
                ret_mapping->bytes = slice_make("", 0);
                return 0;
        }
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return -errno;
        ret_mapping->bytes = slice_make(data, (size_t)status.st_size);
        return 0;
}

/* A sandbox has the host's /usr, and /bin, /lib and so on as links into it. */
static bool sandbox_has(const struct program_world *world, const char *program)
{
        AUTO(memory_free) char *real = realpath(program, NULL);

        (void)world;
        return real && strncmp(real, "/usr/", 5) == 0;
}

static const struct program_world sandbox_world = {
        .has = sandbox_has,
        .advice = ": link it statically, or against this machine's libraries",
};

/* Nobody looks into the layers here: the first who does is the trial. */
static bool layers_have(const struct program_world *world, const char *program)
{
        return strncmp(program, "/opt/", 5) == 0 || sandbox_has(world, program);
}

static const struct program_world layered_world = {
        .has = layers_have,
        .advice = ": link it statically, or against this machine's libraries",
};

static enum stage_result elf_check(struct slice file, const char *path,
                                   const struct program_world *world, struct err *err)
{
        struct elf_program program;
        struct err why;

        if (elf_program_parse(file, &program, &why) < 0)
                return bundle_refuse(err, "'%s' %s", QUOTE(slice_of(path)), why.text);
        if (program.interpreter[0] != '\0' && !world->has(world, program.interpreter))
                return bundle_refuse(err, "'%s' needs the dynamic loader '%s', which is not here%s",
                                     QUOTE(slice_of(path)), QUOTE(slice_of(program.interpreter)),
                                     world->advice);
        return STAGE_DONE;
}

/* "#!", blanks, the interpreter, and perhaps one argument, up to the end of the line. */
static enum stage_result script_check(struct slice file, const char *path,
                                      const struct program_world *world, struct err *err)
{
        size_t most = file.length < FIRST_LINE_MAX ? file.length : FIRST_LINE_MAX;
        char line[FIRST_LINE_MAX + 1], *interpreter;

        memcpy(line, file.data, most);
        line[most] = '\0';
        line[strcspn(line, "\n")] = '\0';
        if (strchr(line, '\r'))
                return bundle_refuse(
                        err,
                        "the first line of '%s' ends in CR LF, which Linux takes for a "
                        "part of the interpreter's name: save it with LF",
                        QUOTE(slice_of(path)));
        interpreter = line + 2 + strspn(line + 2, " \t");
        interpreter[strcspn(interpreter, " \t")] = '\0';
        if (interpreter[0] != '/')
                return bundle_refuse(err,
                                     "the first line of '%s' names no interpreter by its absolute "
                                     "path, such as #!/bin/sh",
                                     QUOTE(slice_of(path)));
        if (!world->has(world, interpreter))
                return bundle_refuse(err, "'%s' needs the interpreter '%s', which is not here",
                                     QUOTE(slice_of(path)), QUOTE(slice_of(interpreter)));
        return STAGE_DONE;
}

enum stage_result program_content_check(struct slice content, const char *path, bool or_script,
                                        const struct program_world *world, struct err *err)
{
        if (or_script && slice_starts_with(content, SLICE("#!")))
                return script_check(content, path, world, err);
        if (or_script && !slice_starts_with(content, SLICE("\177ELF")))
                return bundle_refuse(err,
                                     "'%s' is neither a program nor a script: a script's first "
                                     "line is #! and its interpreter, such as #!/bin/sh",
                                     QUOTE(slice_of(path)));
        return elf_check(content, path, world, err);
}

enum stage_result program_check(int root_fd, const char *path, bool or_script, bool has_layers,
                                struct err *err)
{
        AUTO(mapping_unmap) struct mapping mapping = {0};
        int r = mapping_make(root_fd, path, &mapping);

        if (r < 0)
                return bundle_fail(err, r, "reading '%s'", QUOTE(slice_of(path)));
        return program_content_check(mapping.bytes, path, or_script,
                                     has_layers ? &layered_world : &sandbox_world, err);
}
