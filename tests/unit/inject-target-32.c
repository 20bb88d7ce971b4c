/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A 32-bit program without a C library, for machines that have none for it. Waits in epoll_wait(),
 * which the kernel does not restart, and exits with 3 if that fails. */

#define NR_EXIT         1
#define NR_READ         3
#define NR_WRITE        4
#define NR_EPOLL_CREATE 254
#define NR_EPOLL_CTL    255
#define NR_EPOLL_WAIT   256
#define EPOLL_CTL_ADD   1

typedef struct __attribute__((packed)) Event {
        unsigned events;
        unsigned long long value;
} Event;

static long call(long number, long a, long b, long c, long d)
{
        long r;

        __asm__ volatile("int $0x80"
                         : "=a"(r)
                         : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d)
                         : "memory");
        return r;
}

void _start(void);

void _start(void)
{
        Event event = { .events = 1 };
        long fd = call(NR_EPOLL_CREATE, 1, 0, 0, 0);

        call(NR_EPOLL_CTL, fd, EPOLL_CTL_ADD, 0, (long)&event);
        call(NR_WRITE, 1, (long)"r", 1, 0);
        call(NR_EXIT, call(NR_EPOLL_WAIT, fd, (long)&event, 1, -1) == 1 ? 0 : 3, 0, 0, 0);
        for (;;)
                ;
}
