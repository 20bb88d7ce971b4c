/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A target with pages that cannot be moved, until it is told to release them: they are in a pipe. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE   4096
#define PAGES  64
#define PINNED 4

static char content[PINNED * PAGE];

int main(void)
{
        char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
        struct iovec pinned = { .iov_base = map + 7 * PAGE, .iov_len = PINNED * PAGE };
        char line[64];
        int fds[2];

        if (map == MAP_FAILED || madvise(map, PAGES * PAGE, MADV_NOHUGEPAGE) < 0)
                return 1;
        for (size_t i = 0; i < PAGES; i++)
                memset(map + i * PAGE, (int)i + 1, PAGE);
        if (pipe2(fds, O_CLOEXEC) < 0 || vmsplice(fds[1], &pinned, 1, 0) != (ssize_t)pinned.iov_len)
                return 2;

        printf("ready %d\n", getpid());
        fflush(stdout);
        while (fgets(line, sizeof(line), stdin)) {
                if (strcmp(line, "exit\n") == 0)
                        break;
                if (read(fds[0], content, sizeof(content)) != sizeof(content) ||
                    memcmp(content, pinned.iov_base, sizeof(content)) != 0)
                        return 3;
                printf("released\n");
                fflush(stdout);
        }
        for (size_t i = 0; i < PAGES * PAGE; i++)
                if (map[i] != (char)(i / PAGE + 1))
                        return 4;
        return 0;
}
