/* The headers of an ELF file; see elf_program.h. */
#include "wire/elf_program.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "which ELF machine is this?"
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers are read as they lie");

static const struct {
        uint16_t machine;
        const char *name;
} machines[] = {
        {EM_386, "i386"},    {EM_X86_64, "x86_64"}, {EM_ARM, "arm"},    {EM_AARCH64, "aarch64"},
        {EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"},   {EM_S390, "s390x"}, {EM_MIPS, "mips"},
};

static const char *machine_name(uint16_t machine)
{
        for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
                if (machines[i].machine == machine)
                        return machines[i].name;
        return "another processor";
}

/* What people deploy by mistake. */
static int explain_other_format(struct slice file, struct err *err)
{
        static const struct {
                struct slice bytes;
                const char *what;
        } formats[] = {
                {{"#!", 2}, "is a script: use the runtime exec for it"},
                {{"MZ", 2}, "is a program for Windows"},
                {{"\xcf\xfa\xed\xfe", 4}, "is a program for macOS"},
                {{"\xce\xfa\xed\xfe", 4}, "is a program for macOS"},
                {{"\xca\xfe\xba\xbe", 4}, "is a program for macOS or a Java class"},
                {{"\0asm", 4}, "is a WebAssembly module"},
                {{"!<arch>", 7}, "is a static library and not a program"},
        };

        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
                if (slice_starts_with(file, formats[i].bytes))
                        return err_set(err, -ENOEXEC, "%s", formats[i].what);
        return err_set(err, -ENOEXEC, "is not a program");
}

/* The first 16 bytes: they say how to read the others. */
static int check_identity(struct slice file, struct err *err)
{
        const unsigned char *identity = (const unsigned char *)file.data;

        if (!slice_starts_with(file, slice_make(ELFMAG, SELFMAG)))
                return explain_other_format(file, err);
        if (file.length < sizeof(Elf64_Ehdr))
                return err_set(err, -ENOEXEC, "is a program that was cut off");
        if (identity[EI_CLASS] != ELFCLASS64)
                return err_set(err, -ENOEXEC, "is not a 64-bit program");
        if (identity[EI_DATA] != ELFDATA2LSB)
                return err_set(err, -ENOEXEC, "is a program for a big-endian machine");
        return 0;
}

static int check_header(const Elf64_Ehdr *header, struct err *err)
{
        if (header->e_machine != HOST_MACHINE)
                return err_set(err, -ENOEXEC, "is a program for %s, and this machine is %s",
                               machine_name(header->e_machine), machine_name(HOST_MACHINE));
        switch (header->e_type) {
        case ET_EXEC:
        case ET_DYN:
                break;
        case ET_REL:
                return err_set(err, -ENOEXEC, "is an object file that was not linked");
        case ET_CORE:
                return err_set(err, -ENOEXEC, "is the core dump of a program");
        default:
                return err_set(err, -ENOEXEC, "is not a program");
        }
        if (header->e_entry == 0)
                return err_set(err, -ENOEXEC, "is a shared library and not a program");
        if (header->e_phentsize != sizeof(Elf64_Phdr))
                return err_set(err, -ENOEXEC, "is a damaged program");
        return 0;
}

static bool lies_within(struct slice file, uint64_t offset, uint64_t length)
{
        return offset <= file.length && length <= file.length - offset;
}

static int read_interpreter(struct slice file, const Elf64_Phdr *segment,
                            struct elf_program *ret_program, struct err *err)
{
        const char *path = file.data + segment->p_offset;
        uint64_t size = segment->p_filesz;

        if (size < 2 || size > sizeof(ret_program->interpreter) || path[size - 1] != '\0' ||
            path[0] != '/')
                return err_set(err, -ENOEXEC, "is a program with a damaged interpreter");
        memcpy(ret_program->interpreter, path, size);
        return 0;
}

int elf_program_parse(struct slice file, struct elf_program *ret_program, struct err *err)
{
        struct elf_program program = {0};
        bool has_code = false;
        Elf64_Ehdr header;
        int r = check_identity(file, err);

        if (r < 0)
                return r;
        memcpy(&header, file.data, sizeof(header));
        r = check_header(&header, err);
        if (r < 0)
                return r;
        if (!lies_within(file, header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr)))
                return err_set(err, -ENOEXEC, "is a program that was cut off");

        for (size_t i = 0; i < header.e_phnum; i++) {
                Elf64_Phdr segment;
                memcpy(&segment, file.data + header.e_phoff + i * sizeof(segment), sizeof(segment));
                if (segment.p_type != PT_LOAD && segment.p_type != PT_INTERP)
                        continue;
                if (!lies_within(file, segment.p_offset, segment.p_filesz))
                        return err_set(err, -ENOEXEC, "is a program that was cut off");
                has_code = has_code || segment.p_type == PT_LOAD;
                if (segment.p_type == PT_INTERP &&
                    (r = read_interpreter(file, &segment, &program, err)) < 0)
                        return r;
        }
        if (!has_code)
                return err_set(err, -ENOEXEC, "is a program without any code");
        *ret_program = program;
        return 0;
}
