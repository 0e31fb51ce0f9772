/* Headers of programs: no byte is read beyond the file, and the loader's path is a text. */
#include "fuzzing.h"
#include "wire/elf_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct elf_program program;
        struct err err = {0};

        if (elf_program_parse(slice_make((const char *)data, size), &program, &err) == 0) {
                size_t length = strnlen(program.interpreter, sizeof(program.interpreter));
                FUZZ_EXPECT(length <= ELF_INTERPRETER_MAX);
                FUZZ_EXPECT(length == 0 || program.interpreter[0] == '/');
        } else {
                FUZZ_EXPECT(err.text[0] != '\0');
        }
        return 0;
}
