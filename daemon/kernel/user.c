/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/user.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#include "policy/macro.h"

/* More than any account's line. */
#define ENTRY_BYTES 16384u

static int parse_number(const char *text, uint32_t *ret_uid)
{
        unsigned long number;
        char *end;

        if (!isdigit((unsigned char)*text))
                return -EINVAL;
        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || *end != '\0' || number >= UINT32_MAX) /* -1 is nobody's */
                return -EINVAL;

        *ret_uid = (uint32_t)number;
        return 0;
}

int user_find(const char *name, uint32_t *ret_uid)
{
        _cleanup_(freep) char *entry = malloc(ENTRY_BYTES);
        struct passwd user, *found = NULL;
        int r;

        if (!entry)
                return -ENOMEM;

        /* A name of digits alone is a name if somebody has it. */
        r = getpwnam_r(name, &user, entry, ENTRY_BYTES, &found);
        if (found) {
                *ret_uid = user.pw_uid;
                return 0;
        }
        if (parse_number(name, ret_uid) >= 0)
                return 0;

        return r == 0 || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT : -r;
}
