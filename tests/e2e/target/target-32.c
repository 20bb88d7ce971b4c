/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A 32-bit program (-m32) or an x32 one (-mx32) without a C library, for machines that have none for
 * it. Maps TARGET_FILE privately, says so, writes a page when told to, and exits with 3 if that went
 * wrong. */

#ifdef __i386__
#define NR_EXIT  1
#define NR_READ  3
#define NR_WRITE 4
#define NR_OPEN  5
#define NR_MMAP  192 /* mmap2 */

static long call(unsigned long number, unsigned long a, unsigned long b, unsigned long c,
                 unsigned long d, unsigned long e)
{
        long r;

        /* The sixth argument is an offset, of 0. */
        __asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
                         : "=a"(r)
                         : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                         : "memory");
        return r;
}
#else
#define X32      0x40000000
#define NR_EXIT  (X32 + 60)
#define NR_READ  (X32 + 0)
#define NR_WRITE (X32 + 1)
#define NR_OPEN  (X32 + 2)
#define NR_MMAP  (X32 + 9)

static long call(unsigned long number, unsigned long a, unsigned long b, unsigned long c,
                 unsigned long d, unsigned long e)
{
        register unsigned long long r10 __asm__("r10") = d, r8 __asm__("r8") = e,
                                        r9 __asm__("r9") = 0;
        long long r;

        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "0"((unsigned long long)number), "D"((unsigned long long)a),
                           "S"((unsigned long long)b), "d"((unsigned long long)c), "r"(r10),
                           "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return (long)r;
}
#endif

void _start(void);

void _start(void)
{
        char byte, *memory;
        unsigned long fd = (unsigned long)call(NR_OPEN, (unsigned long)TARGET_FILE, 0, 0, 0, 0);
        int right;

        /* PROT_READ | PROT_WRITE, MAP_PRIVATE */
        memory = (char *)call(NR_MMAP, 0, 4 * 4096, 3, 2, fd);
        right = (long)fd >= 0 && ((unsigned long)memory & 4095) == 0;
        call(NR_WRITE, 1, (unsigned long)"mapped\n", 7, 0, 0);
        right = right && call(NR_READ, 0, (unsigned long)&byte, 1, 0, 0) == 1;
        if (right) {
                memory[100] = 7;
                right = memory[100] == 7 && memory[2 * 4096 + 2] == 2;
        }
        call(NR_EXIT, right ? 0 : 3, 0, 0, 0, 0);
        for (;;)
                ;
}
