/* The one place with assembly; see clone.h. */
#include "agent/clone.h"

#include <sys/syscall.h>

/* After the call both processes are at the same instruction; the child's stack is empty, so it may
 * do nothing but go to `run`. */
pid_t clone_and_run(struct clone_args *args, void (*run)(void *argument), void *argument)
{
#if defined(__x86_64__)
        long result;

        __asm__ volatile("syscall\n\t"
                         "testq %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "xorl %%ebp, %%ebp\n\t"
                         "movq %[argument], %%rdi\n\t"
                         "callq *%[run]\n\t"
                         "hlt\n"
                         "1:"
                         : "=a"(result)
                         : "a"((long)SYS_clone3), "D"(args),
                           "S"(sizeof(*args)), [run] "r"(run), [argument] "r"(argument)
                         : "rcx", "r11", "memory", "cc");
        return (pid_t)result;
#elif defined(__aarch64__)
        register long number __asm__("x8") = SYS_clone3;
        register long first __asm__("x0") = (long)args;
        register long second __asm__("x1") = sizeof(*args);

        __asm__ volatile("svc 0\n\t"
                         "cbnz x0, 1f\n\t"
                         "mov x29, xzr\n\t"
                         "mov x0, %[argument]\n\t"
                         "blr %[run]\n\t"
                         "brk 1\n"
                         "1:"
                         : "+r"(first)
                         : "r"(number), "r"(second), [run] "r"(run), [argument] "r"(argument)
                         : "memory", "cc");
        return (pid_t)first;
#else
#error "magpie-agent knows how to call clone3 on x86-64 and aarch64"
#endif
}
