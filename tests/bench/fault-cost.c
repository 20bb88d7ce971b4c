/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What does daxtier_map() cost a program, held against the mmap() and mbind() that it could write by
 * hand? Both ways by turns in one run, in processor time. The ratio is the median of those of
 * neighbouring rounds: a machine that others use as well drifts, and both of a pair drift alike.
 *
 *      fault-cost FILE TIER NODE
 *
 * FILE holds some MiB; TIER is a tier's name, NODE the node that it stands for. Prints lines of
 *      name value unit baseline ratio
 */

#include <daxtier.h>
#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGES_MAX 512u
#define ROUNDS    401u
#define MAPS      20u

typedef struct Setting Setting;

/* What both ways map. */
struct Setting {
        daxtier *handle;
        const char *tier;
        unsigned node;
        int fd;
        size_t length;
};

static void die(const char *what, int error)
{
        fprintf(stderr, "fault-cost: %s: %s\n", what, strerror(error));
        exit(1);
}

static double nanoseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static char *map_by_hand(const Setting *setting)
{
        unsigned long nodes[16] = { 0 };
        void *address;

        nodes[setting->node / (8 * sizeof(long))] |= 1UL << setting->node % (8 * sizeof(long));
        address = mmap(NULL, setting->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                       setting->fd, 0);
        if (address == MAP_FAILED)
                die("mmap", errno);
        if (mbind(address, setting->length, MPOL_PREFERRED, nodes, 8 * sizeof(nodes), 0) < 0)
                die("mbind", errno);

        return address;
}

static char *map_by_library(const Setting *setting)
{
        struct daxtier_map_options options = { .size = sizeof(options), .tier = setting->tier };
        void *address;
        int r;

        r = daxtier_map(setting->handle, setting->fd, 0, setting->length, &options, &address);
        if (r < 0) {
                fprintf(stderr, "fault-cost: %s\n", daxtier_strerror(r));
                exit(1);
        }

        return address;
}

static void unmap(const Setting *setting, char *address, bool by_library)
{
        if (by_library)
                daxtier_unmap(setting->handle, address, setting->length);
        else
                munmap(address, setting->length);
}

static char *map(const Setting *setting, bool by_library)
{
        return by_library ? map_by_library(setting) : map_by_hand(setting);
}

/* ns for each page's first write. */
static double fault_cost(const Setting *setting, bool by_library)
{
        char *address = map(setting, by_library);
        double start = nanoseconds(), end;

        for (size_t at = 0; at < setting->length; at += 4096)
                ((volatile char *)address)[at] = 1;
        end = nanoseconds();
        unmap(setting, address, by_library);

        return (end - start) / ((double)setting->length / 4096);
}

/* ns for mapping and unmapping, without a fault. */
static double map_cost(const Setting *setting, bool by_library)
{
        double start = nanoseconds();

        for (unsigned i = 0; i < MAPS; i++)
                unmap(setting, map(setting, by_library), by_library);

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

static void measure(const Setting *setting, const char *name,
                    double (*cost)(const Setting *setting, bool by_library))
{
        static double hand[ROUNDS], library[ROUNDS], ratio[ROUNDS];

        cost(setting, false);
        cost(setting, true);
        for (unsigned i = 0; i < ROUNDS; i++) {
                /* Each goes first as often. */
                if (i % 2)
                        hand[i] = cost(setting, false);
                library[i] = cost(setting, true);
                if (i % 2 == 0)
                        hand[i] = cost(setting, false);
                ratio[i] = library[i] / hand[i];
        }

        printf("%s %.1f ns %.1f %.3f\n", name, median(library), median(hand), median(ratio));
}

/* For the tracer that counts system calls: a map alone between two calls that it knows. */
static void map_once(const Setting *setting, bool by_library)
{
        getppid();
        map(setting, by_library);
        getppid();
}

int main(int argc, char **argv)
{
        Setting setting = {};
        struct stat st;
        int r;

        if (argc < 4) {
                fprintf(stderr,
                        "Usage: fault-cost FILE TIER NODE [once-by-hand|once-by-library]\n");
                return 2;
        }

        setting.tier = argv[2];
        setting.node = (unsigned)strtoul(argv[3], NULL, 10);
        setting.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
        if (setting.fd < 0 || fstat(setting.fd, &st) < 0)
                die(argv[1], errno);
        setting.length = (size_t)st.st_size & ~(size_t)4095;
        if (setting.length > PAGES_MAX * 4096)
                setting.length = PAGES_MAX * 4096;

        r = daxtier_open(&setting.handle);
        if (r < 0)
                die("daxtier_open", -r);

        if (argc > 4) {
                map_once(&setting, strcmp(argv[4], "once-by-library") == 0);
                return 0;
        }

        measure(&setting, "copy-fault", fault_cost);
        measure(&setting, "map-unmap", map_cost);
        daxtier_close(setting.handle);
        return 0;
}
