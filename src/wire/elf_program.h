/* Can this machine run that program? A bounded look at an ELF file's headers (elf(5)). */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

#define ELF_INTERPRETER_MAX 255

struct elf_program {
        char interpreter[ELF_INTERPRETER_MAX + 1]; /* the dynamic loader's path; "" when static */
};

/* `file` is the whole file. 0; -ENOEXEC where it is no 64-bit program for this machine, and what it
 * is instead as the end of a sentence: "is a program for aarch64", "is a script". */
int elf_program_parse(struct slice file, struct elf_program *ret_program, struct err *err);
