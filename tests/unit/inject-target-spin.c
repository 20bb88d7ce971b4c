/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loops that notice when a register, or the place where they are, is not as they left it. */
#include <linux/rseq.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/unit/inject-target.h"

#ifdef __x86_64__
/* A pattern a register: rax 1, rbx 2, ... Each loop sets carry and direction, idles, and compares. */
static long spin_once(volatile sig_atomic_t *stop)
{
        long wrong;

        __asm__ volatile(
                "       push %%rbp\n"
                "       mov %[stop], %%r15\n"
                "       mov $0x11111111, %%eax; mov $0x22222222, %%ebx; mov $0x33333333, %%ecx\n"
                "       mov $0x44444444, %%edx; mov $0x55555555, %%esi; mov $0x66666666, %%edi\n"
                "       mov $0x77777777, %%ebp; mov $0x08888888, %%r8d; mov $0x09999999, %%r9d\n"
                "       mov $0x0aaaaaaa, %%r10d; mov $0x0bbbbbbb, %%r11d; mov $0x0ccccccc, %%r12d\n"
                "       mov $0x0ddddddd, %%r13d; mov $0x0eeeeeee, %%r14d\n"
                "       movq %%r14, %%xmm0; movq %%r13, %%xmm7; movq %%r12, %%xmm15\n"
                "1:     std; stc\n"
                "       .rept 400; nop; .endr\n"
                "       jnc 2f\n"
                "       cmp $0x11111111, %%eax; jne 2f; cmp $0x22222222, %%ebx; jne 2f\n"
                "       cmp $0x33333333, %%ecx; jne 2f; cmp $0x44444444, %%edx; jne 2f\n"
                "       cmp $0x55555555, %%esi; jne 2f; cmp $0x66666666, %%edi; jne 2f\n"
                "       cmp $0x77777777, %%ebp; jne 2f; cmp $0x08888888, %%r8d; jne 2f\n"
                "       cmp $0x09999999, %%r9d; jne 2f; cmp $0x0aaaaaaa, %%r10d; jne 2f\n"
                "       cmp $0x0bbbbbbb, %%r11d; jne 2f; cmp $0x0ccccccc, %%r12d; jne 2f\n"
                "       cmp $0x0ddddddd, %%r13d; jne 2f; cmp $0x0eeeeeee, %%r14d; jne 2f\n"
                "       pushf; testl $0x400, (%%rsp); lea 8(%%rsp), %%rsp; jz 2f\n"
                "       movq %%xmm0, %%r8; cmp %%r14, %%r8; jne 2f\n"
                "       movq %%xmm7, %%r8; cmp %%r13, %%r8; jne 2f\n"
                "       movq %%xmm15, %%r8; cmp %%r12, %%r8; jne 2f\n"
                "       mov $0x08888888, %%r8d\n"
                "       cmpl $0, (%%r15); je 1b\n"
                "       xor %%eax, %%eax; jmp 3f\n"
                "2:     mov $1, %%eax\n"
                "3:     cld; pop %%rbp\n"
                : "=&a"(wrong)
                : [stop] "D"(stop)
                : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                  "xmm0", "xmm7", "xmm15", "cc", "memory");
        return wrong;
}

void target_spin_on_registers(void)
{
        target_ready();
        expect(spin_once(&target_signals) == 0);
}

/* What the kernel looks at, at a place that we tell it. */
static struct rseq area __attribute__((aligned(32)));

#define SIGNATURE 0x53053053

/* The kernel leaves the sequence for 4: whenever it takes the CPU away; that is allowed, often. */
static void __attribute__((noinline)) run_sequences(volatile sig_atomic_t *stop)
{
        __asm__ volatile(
                "       .pushsection .data.rel, \"aw\"\n"
                "       .balign 32\n"
                "9:     .long 0, 0\n"
                "       .quad 1f, 2f - 1f, 4f\n"
                "       .popsection\n"
                "0:     lea 9b(%%rip), %%rax\n"
                "       mov %%rax, %[pointer]\n"
                "1:     mov $100000, %%ecx\n"
                "5:     dec %%ecx; jnz 5b\n"
                "2:     cmpl $0, (%[stop]); je 0b\n"
                "       jmp 3f\n"
                "       .byte 0x0f, 0xb9, 0x3d\n" /* an undefined instruction before the signature */
                "       .long 0x53053053\n"
                "4:     jmp 0b\n"
                "3:     movq $0, %[pointer]\n"
                : [pointer] "+m"(area.rseq_cs)
                : [stop] "r"(stop)
                : "rax", "rcx", "cc", "memory");
}

void target_spin_in_rseq(void)
{
        /* glibc is told by GLIBC_TUNABLES not to register its own. */
        expect(syscall(SYS_rseq, &area, 32, 0, SIGNATURE) == 0);
        target_ready();
        run_sequences(&target_signals);
}
#else
void target_spin_on_registers(void)
{
        volatile unsigned long sum = 0, same = 0;

        target_ready();
        while (!target_signals) {
                sum += 3;
                same += 3;
        }
        expect(sum == same);
}

void target_spin_in_rseq(void)
{
        _exit(77);
}
#endif
