/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the shim's mmap() costs a program, held against libc's own, by turns in one process that runs
 * under the shim. Processor time; the ratio is the median of those of neighbouring rounds.
 *
 *      preload-cost FILE
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 1001u
#define MAPS   50u

typedef void *(*MmapFunction)(void *address, size_t length, int prot, int flags, int fd,
                              off_t offset);

static double nanoseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double cost(MmapFunction map, int flags, int fd)
{
        double start = nanoseconds();

        for (unsigned i = 0; i < MAPS; i++) {
                void *address = map(NULL, 4096, PROT_READ | PROT_WRITE, flags, fd, 0);

                if (address == MAP_FAILED) {
                        perror("preload-cost: mmap");
                        exit(1);
                }
                munmap(address, 4096);
        }

        return (nanoseconds() - start) / MAPS;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *values)
{
        qsort(values, ROUNDS, sizeof(*values), compare);
        return values[ROUNDS / 2];
}

static void measure(const char *name, MmapFunction libc_mmap, int flags, int fd)
{
        static double libc[ROUNDS], shim[ROUNDS], ratio[ROUNDS];

        for (unsigned i = 0; i < ROUNDS; i++) {
                /* Each goes first as often. */
                if (i % 2)
                        libc[i] = cost(libc_mmap, flags, fd);
                shim[i] = cost(mmap, flags, fd);
                if (i % 2 == 0)
                        libc[i] = cost(libc_mmap, flags, fd);
                ratio[i] = shim[i] / libc[i];
        }

        printf("%s %.1f ns %.1f %.3f\n", name, median(shim), median(libc), median(ratio));
}

int main(int argc, char **argv)
{
        MmapFunction libc_mmap = NULL;
        void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
        int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

        if (libc)
                libc_mmap = (MmapFunction)dlsym(libc, "mmap");
        if (fd < 0 || !libc_mmap || libc_mmap == mmap) {
                fprintf(stderr, "preload-cost: run it on a file, under the shim\n");
                return 1;
        }

        measure("preload-anonymous-map-unmap", libc_mmap, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        measure("preload-file-map-unmap", libc_mmap, MAP_PRIVATE, fd);
        return 0;
}
