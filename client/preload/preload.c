/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* With 64-bit file offsets the headers rename mmap() to mmap64(), and here both are defined. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/preload/objects.h"
#include "client/preload/place.h"
#include "client/preload/settings.h"

/*
 * What a program maps, with the policy of `daxtier run` put on it before the first write.
 *
 * mremap() needs nothing of us: the kernel takes a mapping's policy along when it moves or grows.
 * Nor does libc's own use of mmap(), which does not come by here and maps nothing private and
 * writable but the objects of the dynamic linker. A program that makes the system call itself, by
 * syscall() or in assembly, is the daemon's business.
 */

#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(off_t) == sizeof(long), "mmap() and mmap64() are one only on LP64");

typedef void *(*DlopenFunction)(const char *file, int mode);

/* A private mapping of a file, unless it is code: that gets no copies. One that is not writable now
 * may become so by mprotect(). */
static int is_candidate(int prot, int flags)
{
        return (flags & MAP_TYPE) == MAP_PRIVATE && !(flags & MAP_ANONYMOUS) &&
               (prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
        void *result;

        /* The system call itself, not the next mmap(): there is no way to ask for that which is
         * safe in a signal handler or before our constructor. */
        /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
        result = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
        if (result != MAP_FAILED && is_candidate(prot, flags))
                place_mapping(result, len, fd);

        return result;
}

EXPORT __attribute__((alias("mmap"))) void *mmap64(void *addr, size_t len, int prot, int flags,
                                                   int fd, off64_t offset);

static DlopenFunction next_dlopen(void)
{
        static _Atomic DlopenFunction found;
        DlopenFunction next = atomic_load(&found);

        if (!next) {
                next = (DlopenFunction)dlsym(RTLD_NEXT, "dlopen");
                atomic_store(&found, next);
        }

        return next;
}

/* Does it matter who calls dlopen(file)? The linker takes the caller from the return address and
 * looks in the caller's RUNPATH for a bare name, in its directory for $ORIGIN, and in its RPATH for
 * what the object needs. We would be that caller. */
static int is_callers_business(const char *file)
{
        return !file || !strchr(file, '/') || strchr(file, '$') || objects_survey().has_rpath;
}

static void *dlopen_and_place(const char *file, int mode)
{
        size_t n_before = objects_survey().count;
        void *handle = next_dlopen()(file, mode);

        if (handle) {
                int saved = errno;

                objects_place(n_before);
                errno = saved;
        }

        return handle;
}

/* Nothing on the stack and tail calls only (for which this library is always optimised), so that
 * the real dlopen() sees the real caller. */
EXPORT void *dlopen(const char *file, int mode)
{
        if (settings_get() && !is_callers_business(file))
                return dlopen_and_place(file, mode);

        return next_dlopen()(file, mode);
}

/* Reads the environment while it is as `daxtier run` left it, and places what the linker mapped
 * before any of us ran. */
__attribute__((constructor)) static void preload_start(void)
{
        int saved = errno;

        if (settings_get())
                objects_place(0);

        errno = saved;
}
