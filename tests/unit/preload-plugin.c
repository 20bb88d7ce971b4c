/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An object that preload-child loads; see there. */

#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Two pages, so that one of them is .data alone and whole. */
EXPORT extern char plugin_text[8192];
EXPORT extern void *plugin_early;
EXPORT int plugin_find_other(void);

__attribute__((aligned(4096))) char plugin_text[8192] = "not zero";
void *plugin_early;

int plugin_find_other(void)
{
        return dlopen("libpreload-other.so", RTLD_NOW) ? 1 : 0;
}

__attribute__((constructor)) static void plugin_start(void)
{
        const char *path = getenv("PLUGIN_MAPS");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0)
                return;
        plugin_early = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        close(fd);
}
