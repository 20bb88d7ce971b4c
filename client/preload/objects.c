/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/preload/objects.h"

#include <fcntl.h>
#include <link.h>
#include <stdint.h>

#include "client/preload/place.h"
#include "policy/macro.h"

typedef struct Walk Walk;

struct Walk {
        size_t first;
        size_t index;
};

static bool carries_rpath(const struct dl_phdr_info *object)
{
        for (size_t i = 0; i < object->dlpi_phnum; i++) {
                const ElfW(Dyn) * dynamic;

                if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
                        continue;

                /* NOLINTNEXTLINE(performance-no-int-to-ptr): that is how ELF gives it */
                dynamic = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
                for (; dynamic->d_tag != DT_NULL; dynamic++)
                        if (dynamic->d_tag == DT_RPATH)
                                return true;
        }

        return false;
}

static int survey_object(struct dl_phdr_info *object, size_t size, void *userdata)
{
        Objects *objects = userdata;

        if (objects->count > 0 && carries_rpath(object))
                objects->has_rpath = true;
        objects->count++;

        return 0;
}

Objects objects_survey(void)
{
        Objects objects = {};

        dl_iterate_phdr(survey_object, &objects);
        return objects;
}

/* The file part of a writable segment; what follows (.bss) is anonymous. */
static void place_segment(const struct dl_phdr_info *object, const ElfW(Phdr) * segment, int fd)
{
        uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
        uintptr_t start = object->dlpi_addr + segment->p_vaddr, end = start + segment->p_filesz;

        start &= ~mask;
        end = (end + mask) & ~mask;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) && segment->p_filesz > 0)
                /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
                place_mapping((void *)start, end - start, fd);
}

static int place_object(struct dl_phdr_info *object, size_t size, void *userdata)
{
        _cleanup_(closep) int fd = -1;
        const char *path = object->dlpi_name;
        Walk *walk = userdata;
        size_t index = walk->index++;

        if (index < walk->first)
                return 0;

        /* The program itself has no name here; the vdso has one that is no path. */
        if (index == 0)
                path = "/proc/self/exe";
        if (!strchr(path, '/'))
                return 0;

        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return 0;

        for (size_t i = 0; i < object->dlpi_phnum; i++)
                place_segment(object, &object->dlpi_phdr[i], fd);

        return 0;
}

void objects_place(size_t first)
{
        Walk walk = { .first = first };

        dl_iterate_phdr(place_object, &walk);
}
