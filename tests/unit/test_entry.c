/* Which function or program of a bundle is run: as the user says, or as the server chooses. */
#include "adapters/archive/bundles_archive.h"
#include "archives.h"
#include "temporary.h"
#include "testing.h"

#include <fcntl.h>

static struct temporary folder;
static struct bundles *bundles;
static struct function *function;

static void begin(enum runtime runtime)
{
        temporary_make(&folder);
        ck_assert_int_eq(bundles_archive_open(folder.path, &BUNDLE_LIMITS_DEFAULT, &bundles, NULL),
                         0);
        function = function_new();
        strcpy(function->name, "hello");
        function->runtime = runtime;
}

static void end(void)
{
        function_unref(function);
        bundles_archive_close(bundles);
        temporary_remove(&folder);
}

/* Stages `code` with the handler that was given; returns the one that was found, or the
 * sentence. */
static const char *staged(const char *handler, struct slice code, enum stage_result wanted)
{
        static struct err err;
        char staging[DIGEST_LENGTH + 1];

        memset(function->handler, 0, sizeof(function->handler));
        strcpy(function->handler, handler);
        err.text[0] = '\0';
        ck_assert_msg(bundles->ops->stage(bundles, code, function, staging, &err) == wanted, "%s",
                      err.text);
        return wanted == STAGE_DONE ? function->handler : err.text;
}

/* The same with an archive of files that hold `content`; `names` ends with NULL. */
static const char *staged_files(const char *handler, const char *const *names, const char *content,
                                enum stage_result wanted)
{
        struct buffer tar;
        const char *answer;

        buffer_init(&tar, 1 << 24);
        for (; *names; names++)
                tar_add(&tar, *names, '0', 0644, "", slice_of(content));
        tar_end(&tar);
        answer = staged(handler, buffer_slice(&tar), wanted);
        buffer_deinit(&tar);
        return answer;
}

#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(a_python_handler_is_a_function_of_a_file_that_is_there)
{
        begin(RUNTIME_PYTHON3);
        ck_assert_str_eq(staged_files("app.main", FILES("app.py", "b.py"), "", STAGE_DONE),
                         "app.main");
        ck_assert_str_eq(staged_files("./src//app.main", FILES("src/app.py"), "", STAGE_DONE),
                         "src/app.main");
        ck_assert_str_eq(staged_files("app.main", FILES("main.py", "util.py"), "", STAGE_REFUSED),
                         "handler 'app.main': the bundle has no 'app' with .py; it has main.py, "
                         "util.py");
        ck_assert_str_eq(staged_files("app.main", FILES("a.txt"), "", STAGE_REFUSED),
                         "handler 'app.main': the bundle has no 'app' with .py; it has a.txt");
        ck_assert_str_eq(staged_files("app", FILES("app.py"), "", STAGE_REFUSED),
                         "handler 'app' is not of the form file.function, such as main.handler");
        ck_assert_str_eq(staged_files("app.9lives", FILES("app.py"), "", STAGE_REFUSED),
                         "handler 'app.9lives' is not of the form file.function, such as "
                         "main.handler");
        ck_assert_str_eq(staged_files("../app.main", FILES("app.py"), "", STAGE_REFUSED),
                         "handler '../app.main': '../app' leads out of the bundle");
        ck_assert_str_eq(staged_files(".main", FILES("app.py"), "", STAGE_REFUSED),
                         "handler '.main' is not of the form file.function, such as main.handler");
        end();
}
TEST_END

TEST(a_python_handler_is_chosen_by_the_usual_names_or_the_only_file)
{
        begin(RUNTIME_PYTHON3);
        ck_assert_str_eq(staged_files("", FILES("a.py", "main.py", "index.py"), "", STAGE_DONE),
                         "main.handler");
        ck_assert_str_eq(staged_files("", FILES("a.py", "index.py"), "", STAGE_DONE),
                         "index.handler");
        ck_assert_str_eq(staged_files("", FILES("a.py", "lib/b.py", "README"), "", STAGE_DONE),
                         "a.handler");
        ck_assert_str_eq(staged_files("", FILES("src/only.py", "README"), "", STAGE_DONE),
                         "src/only.handler");
        ck_assert_str_eq(staged_files("",
                                      FILES("a.py", "b.py", "c.py", "d.py", "e.py", "f.py", "g.py"),
                                      "", STAGE_REFUSED),
                         "give a handler: the bundle has no source file called main or index, and "
                         "not just one with .py; it has a.py, b.py, c.py, d.py, e.py and 2 more "
                         "files");
        ck_assert_str_eq(staged_files("", FILES("index.js"), "", STAGE_REFUSED),
                         "give a handler: the bundle has no source file called main or index, and "
                         "not just one with .py; it has index.js");
        end();
}
TEST_END

TEST(a_node_handler_may_lie_in_any_kind_of_javascript_file)
{
        begin(RUNTIME_NODE);
        ck_assert_str_eq(staged_files("app.$x", FILES("app.js"), "", STAGE_DONE), "app.$x");
        ck_assert_str_eq(staged_files("app.run", FILES("app.mjs"), "", STAGE_DONE), "app.run");
        ck_assert_str_eq(staged_files("", FILES("index.cjs"), "", STAGE_DONE), "index.handler");
        ck_assert_str_eq(staged_files("", FILES("my.app.mjs", "package.json"), "", STAGE_DONE),
                         "my.app.handler");
        ck_assert_str_eq(staged_files("app.run", FILES("main.py"), "", STAGE_REFUSED),
                         "handler 'app.run': the bundle has no 'app' with .js, .mjs or .cjs; it "
                         "has main.py");
        end();
}
TEST_END

TEST(a_single_file_is_named_so_that_the_handler_finds_it)
{
        begin(RUNTIME_PYTHON3);
        ck_assert_str_eq(staged("", SLICE("x = 1\n"), STAGE_DONE), "main.handler");
        ck_assert_str_eq(staged("src/app.run", SLICE("x = 1\n"), STAGE_DONE), "src/app.run");
        ck_assert_str_eq(staged("../app.run", SLICE("x = 1\n"), STAGE_REFUSED),
                         "'../app.py' leads out of the bundle");
        end();
        begin(RUNTIME_NODE);
        ck_assert_str_eq(staged("index.run", SLICE("exports.run = 1\n"), STAGE_DONE), "index.run");
        ck_assert_str_eq(staged("", SLICE("exports.handler = 1\n"), STAGE_DONE), "main.handler");
        ck_assert_str_eq(staged("", SLICE("// a module\nexport const a = 1\n"), STAGE_DONE),
                         "main.handler");
        end();
        begin(RUNTIME_EXEC);
        ck_assert_str_eq(staged("", SLICE("#!/bin/sh\ncat\n"), STAGE_DONE), "hello");
        ck_assert_str_eq(staged("./bin/run.sh", SLICE("#!/bin/sh\ncat\n"), STAGE_DONE),
                         "bin/run.sh");
        end();
}
TEST_END

TEST(a_program_is_chosen_when_it_is_the_only_file_or_has_a_usual_name)
{
        static const char script[] = "#!/bin/sh\n";

        begin(RUNTIME_EXEC);
        ck_assert_str_eq(staged_files("", FILES("any/thing"), script, STAGE_DONE), "any/thing");
        ck_assert_str_eq(staged_files("", FILES("bootstrap", "hello", "main"), script, STAGE_DONE),
                         "main");
        ck_assert_str_eq(staged_files("", FILES("bootstrap", "hello"), script, STAGE_DONE),
                         "bootstrap");
        ck_assert_str_eq(staged_files("", FILES("data", "hello"), script, STAGE_DONE), "hello");
        ck_assert_str_eq(staged_files("", FILES("data", "tool"), script, STAGE_REFUSED),
                         "give a handler: the bundle has no file called main, bootstrap or hello; "
                         "it has data, tool");
        ck_assert_str_eq(staged_files("./tool", FILES("data", "tool"), script, STAGE_DONE), "tool");
        ck_assert_str_eq(staged_files("tol", FILES("tool"), script, STAGE_REFUSED),
                         "handler 'tol': the bundle has no such file; it has tool");
        ck_assert_str_eq(staged_files("bin", FILES("bin/tool"), script, STAGE_REFUSED),
                         "handler 'bin': the bundle has no such file; it has bin/tool");
        ck_assert_str_eq(staged_files("/bin/sh", FILES("tool"), script, STAGE_REFUSED),
                         "handler: '/bin/sh' is an absolute path");
        end();
}
TEST_END

TEST(a_script_needs_an_interpreter_that_is_here)
{
        begin(RUNTIME_EXEC);
        ck_assert_str_eq(staged("run", SLICE("#! /usr/bin/env python3\n"), STAGE_DONE), "run");
        ck_assert_str_eq(staged("run", SLICE("#!/bin/sh"), STAGE_DONE), "run");
        ck_assert_str_eq(staged("run", SLICE("echo hello\n"), STAGE_REFUSED),
                         "'run' is neither a program nor a script: a script's first line is #! and "
                         "its interpreter, such as #!/bin/sh");
        ck_assert_str_eq(staged("run", SLICE("#!/bin/sh\r\n"), STAGE_REFUSED),
                         "the first line of 'run' ends in CR LF, which Linux takes for a part of "
                         "the interpreter's name: save it with LF");
        ck_assert_str_eq(staged("run", SLICE("#!sh\n"), STAGE_REFUSED),
                         "the first line of 'run' names no interpreter by its absolute path, such "
                         "as #!/bin/sh");
        ck_assert_str_eq(staged("run", SLICE("#!\n/bin/sh"), STAGE_REFUSED),
                         "the first line of 'run' names no interpreter by its absolute path, such "
                         "as #!/bin/sh");
        ck_assert_str_eq(staged("run", SLICE("#!/usr/bin/cobol -x\n"), STAGE_REFUSED),
                         "'run' needs the interpreter '/usr/bin/cobol', which is not here");
        ck_assert_str_eq(staged("run", SLICE("#!/etc/passwd\n"), STAGE_REFUSED),
                         "'run' needs the interpreter '/etc/passwd', which is not here");
        end();
}
TEST_END

/* This very test is a program for this machine. */
static struct slice own_program(char *space, size_t size)
{
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        ssize_t length = read(fd, space, size);

        ck_assert_int_gt(length, 0);
        ck_assert_int_lt(length, (ssize_t)size);
        ck_assert_int_eq(close(fd), 0);
        return slice_make(space, (size_t)length);
}

TEST(a_native_function_is_a_program_for_this_machine)
{
        static char space[16 << 20];
        static const char loader[] = "/lib64/ld-linux";
        struct slice program = own_program(space, sizeof(space));
        char *path;

        begin(RUNTIME_NATIVE);
        ck_assert_str_eq(staged("", program, STAGE_DONE), "hello");
        ck_assert_str_eq(staged("bin/echo", program, STAGE_DONE), "bin/echo");
        ck_assert_str_eq(staged("", SLICE("#!/bin/sh\n"), STAGE_REFUSED),
                         "'hello' is a script: use the runtime exec for it");
        ck_assert_str_eq(staged("", SLICE("int main(void) {}\n"), STAGE_REFUSED),
                         "'hello' is not a program");
        ck_assert_str_eq(staged("", slice_make(program.data, 1000), STAGE_REFUSED),
                         "'hello' is a program that was cut off");
        path = memmem(space, 4096, loader, strlen(loader));
        if (path) { /* where the loader has that name */
                path[1] = 'L';
                ck_assert_ptr_nonnull(strstr(staged("", program, STAGE_REFUSED),
                                             "'hello' needs the dynamic loader '/Lib64/ld-linux"));
        }
        end();
}
TEST_END

TEST(an_exec_function_may_be_a_program_too)
{
        static char space[16 << 20];

        begin(RUNTIME_EXEC);
        ck_assert_str_eq(staged("", own_program(space, sizeof(space)), STAGE_DONE), "hello");
        end();
}
TEST_END

TEST_MAIN("entry", a_python_handler_is_a_function_of_a_file_that_is_there,
          a_python_handler_is_chosen_by_the_usual_names_or_the_only_file,
          a_node_handler_may_lie_in_any_kind_of_javascript_file,
          a_single_file_is_named_so_that_the_handler_finds_it,
          a_program_is_chosen_when_it_is_the_only_file_or_has_a_usual_name,
          a_script_needs_an_interpreter_that_is_here,
          a_native_function_is_a_program_for_this_machine, an_exec_function_may_be_a_program_too)
