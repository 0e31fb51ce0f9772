/* Which files this machine can run, and what the others are called. */
#include "wire/elf_program.h"

#include "testing.h"

#include <elf.h>
#include <errno.h>

#if defined(__x86_64__)
#define HOST EM_X86_64
#define HOST_NAME "x86_64"
#define OTHER EM_AARCH64
#define OTHER_NAME "aarch64"
#else
#define HOST EM_AARCH64
#define HOST_NAME "aarch64"
#define OTHER EM_X86_64
#define OTHER_NAME "x86_64"
#endif

static const char loader[] = "/lib64/ld-linux-x86-64.so.2";

/* A small dynamic program: header, two segments, the loader's path. */
struct image {
        Elf64_Ehdr header;
        Elf64_Phdr load, interpreter;
        char path[sizeof(loader)];
};

static struct image image(void)
{
        struct image image = {
                .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                           .e_type = ET_DYN,
                           .e_machine = HOST,
                           .e_entry = 0x1000,
                           .e_phoff = offsetof(struct image, load),
                           .e_phentsize = sizeof(Elf64_Phdr),
                           .e_phnum = 2},
                .load = {.p_type = PT_LOAD, .p_filesz = sizeof(struct image)},
                .interpreter = {.p_type = PT_INTERP,
                                .p_offset = offsetof(struct image, path),
                                .p_filesz = sizeof(loader)},
        };

        memcpy(image.path, loader, sizeof(loader));
        return image;
}

static const char *refusal(struct slice file)
{
        static struct err err;
        struct elf_program program;

        ck_assert_int_eq(elf_program_parse(file, &program, &err), -ENOEXEC);
        return err.text;
}

static const char *refusal_of(struct image file)
{
        return refusal(slice_make((const char *)&file, sizeof(file)));
}

TEST(a_program_for_this_machine_tells_its_loader)
{
        struct image file = image();
        struct elf_program program;

        ck_assert_int_eq(
                elf_program_parse(slice_make((const char *)&file, sizeof(file)), &program, NULL),
                0);
        ck_assert_str_eq(program.interpreter, loader);
        file.header.e_type = ET_EXEC;
        file.header.e_phnum = 1;
        ck_assert_int_eq(
                elf_program_parse(slice_make((const char *)&file, sizeof(file)), &program, NULL),
                0);
        ck_assert_str_eq(program.interpreter, "");
}
TEST_END

TEST(a_program_for_another_machine_is_called_by_its_name)
{
        struct image file = image();

        file.header.e_machine = OTHER;
        ck_assert_str_eq(refusal_of(file),
                         "is a program for " OTHER_NAME ", and this machine is " HOST_NAME);
        file.header.e_machine = 0x7777;
        ck_assert_str_eq(refusal_of(file),
                         "is a program for another processor, and this machine is " HOST_NAME);
        file = image();
        file.header.e_ident[EI_CLASS] = ELFCLASS32;
        ck_assert_str_eq(refusal_of(file), "is not a 64-bit program");
        file = image();
        file.header.e_ident[EI_DATA] = ELFDATA2MSB;
        ck_assert_str_eq(refusal_of(file), "is a program for a big-endian machine");
}
TEST_END

TEST(what_is_not_linked_to_a_program_is_called_what_it_is)
{
        struct image file = image();

        file.header.e_type = ET_REL;
        ck_assert_str_eq(refusal_of(file), "is an object file that was not linked");
        file.header.e_type = ET_CORE;
        ck_assert_str_eq(refusal_of(file), "is the core dump of a program");
        file.header.e_type = 0x7777;
        ck_assert_str_eq(refusal_of(file), "is not a program");
        file = image();
        file.header.e_entry = 0;
        ck_assert_str_eq(refusal_of(file), "is a shared library and not a program");
        file = image();
        file.load.p_type = PT_NOTE;
        ck_assert_str_eq(refusal_of(file), "is a program without any code");
}
TEST_END

TEST(other_formats_are_recognised)
{
        ck_assert_str_eq(refusal(SLICE("#!/bin/sh\n")), "is a script: use the runtime exec for it");
        ck_assert_str_eq(refusal(SLICE("MZ\x90")), "is a program for Windows");
        ck_assert_str_eq(refusal(SLICE("\xcf\xfa\xed\xfe")), "is a program for macOS");
        ck_assert_str_eq(refusal(SLICE("\xca\xfe\xba\xbe")),
                         "is a program for macOS or a Java class");
        ck_assert_str_eq(refusal(SLICE("\0asm\1")), "is a WebAssembly module");
        ck_assert_str_eq(refusal(SLICE("!<arch>\n")), "is a static library and not a program");
        ck_assert_str_eq(refusal(SLICE("int main")), "is not a program");
        ck_assert_str_eq(refusal(SLICE("")), "is not a program");
}
TEST_END

TEST(a_cut_program_is_noticed_at_every_length)
{
        struct image file = image();

        for (size_t length = 4; length < sizeof(file); length++) {
                /* On the heap and of this very size, so that a sanitizer sees every step beyond. */
                char *cut = malloc(length);
                memcpy(cut, &file, length);
                ck_assert_str_eq(refusal(slice_make(cut, length)), "is a program that was cut off");
                free(cut);
        }
}
TEST_END

TEST(headers_that_lead_astray_are_refused)
{
        struct image file = image();

        file.header.e_phoff = UINT64_MAX - 8;
        ck_assert_str_eq(refusal_of(file), "is a program that was cut off");
        file = image();
        file.header.e_phentsize = 1;
        ck_assert_str_eq(refusal_of(file), "is a damaged program");
        file = image();
        file.load.p_offset = UINT64_MAX;
        ck_assert_str_eq(refusal_of(file), "is a program that was cut off");
        file = image();
        file.interpreter.p_filesz = sizeof(loader) - 1;
        ck_assert_str_eq(refusal_of(file), "is a program with a damaged interpreter");
        file = image();
        file.path[0] = 'l';
        ck_assert_str_eq(refusal_of(file), "is a program with a damaged interpreter");
        file = image();
        file.interpreter.p_offset = 0;
        file.interpreter.p_filesz = 1;
        ck_assert_str_eq(refusal_of(file), "is a program with a damaged interpreter");
}
TEST_END

TEST_MAIN("elf_program", a_program_for_this_machine_tells_its_loader,
          a_program_for_another_machine_is_called_by_its_name,
          what_is_not_linked_to_a_program_is_called_what_it_is, other_formats_are_recognised,
          a_cut_program_is_noticed_at_every_length, headers_that_lead_astray_are_refused)
