/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/preload/place.h"

#include <errno.h>
#include <fnmatch.h>
#include <locale.h>
#include <stdio.h>

#include "client/preload/settings.h"
#include "daemon/kernel/file.h"
#include "daemon/kernel/mempolicy.h"
#include "policy/macro.h"

#define DELETED_SUFFIX " (deleted)"

/* "/proc/self/fd/" and a number, without snprintf(), which a signal handler may not call. */
static void fd_link(int fd, char *text, size_t size)
{
        static const char prefix[] = "/proc/self/fd/";
        char digits[12];
        size_t n = 0, at = sizeof(prefix) - 1;

        do
                digits[n++] = (char)('0' + fd % 10);
        while ((fd /= 10) > 0);

        memcpy(text, prefix, at);
        while (n > 0 && at < size - 1)
                text[at++] = digits[--n];
        text[at] = '\0';
}

/* The same pattern language as a policy's File=: plain fnmatch() on the path as the kernel has it. */
static bool path_matches(const char *pattern, int fd)
{
        char link[32], path[PATH_MAX];
        size_t suffix = strlen(DELETED_SUFFIX), length;
        locale_t c_locale, old_locale;
        bool matches;
        ssize_t n;

        fd_link(fd, link, sizeof(link));
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return false;

        length = (size_t)n;
        path[length] = '\0';
        if (length > suffix && strcmp(path + length - suffix, DELETED_SUFFIX) == 0)
                path[length - suffix] = '\0';

        /* In a multi-byte locale fnmatch() takes memory for long paths, and paths are bytes anyway.
         * glibc's C locale is a constant: newlocale() takes neither memory nor locks for it. */
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        if (!c_locale)
                return false;

        old_locale = uselocale(c_locale);
        matches = fnmatch(pattern, path, 0) == 0;
        uselocale(old_locale);

        return matches;
}

static bool file_matches(const Settings *settings, int fd)
{
        FileFacts facts;

        if (file_inspect(fd, &facts) < 0 || facts.kind == MAPPING_DEVICE_DAX)
                return false;

        switch (settings->filter) {
        case FILE_FILTER_DAX:
                return facts.kind == MAPPING_DAX;
        case FILE_FILTER_ANY:
                return true;
        case FILE_FILTER_GLOB:
                return path_matches(settings->pattern, fd);
        }

        return false;
}

void place_mapping(void *address, size_t length, int fd)
{
        int saved = errno;
        const Settings *settings = settings_get();

        if (settings && file_matches(settings, fd))
                (void)mempolicy_apply(address, length, &settings->nodes, settings->strict);

        errno = saved;
}
