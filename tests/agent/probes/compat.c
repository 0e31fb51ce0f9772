/* Calls the kernel by its other doors: with 32-bit numbers, and with those of x32. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        long result = 0;

        if (argc > 1 && strcmp(argv[1], "int80") == 0)
                __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
        else
                result = syscall(0x40000000 | SYS_getpid);
        printf("%ld\n", result);
        return 0;
}
