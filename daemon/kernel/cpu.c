/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/cpu.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/kernel/attr.h"
#include "policy/macro.h"

/* The kernel cuts such a file off after a page. */
#define CPU_LIST_MAX 65536u

/* A number below CPUS_MAX at *@text, which is moved behind it. */
static int parse_cpu(const char **text, unsigned *ret_cpu)
{
        unsigned long cpu;
        char *end;

        if (!isdigit((unsigned char)**text))
                return -EBADMSG;

        errno = 0;
        cpu = strtoul(*text, &end, 10);
        if (errno != 0 || cpu >= CPUS_MAX)
                return -EBADMSG;

        *text = end;
        *ret_cpu = (unsigned)cpu;
        return 0;
}

/* "0-3,5": ascending, so that CPUS_MAX bounds their number, too. */
static int parse_cpus(const char *text, unsigned *cpus, size_t *ret_n)
{
        size_t n = 0;

        while (*text) {
                unsigned first, last;
                int r;

                r = parse_cpu(&text, &first);
                if (r < 0)
                        return r;
                last = first;
                if (*text == '-') {
                        text++;
                        r = parse_cpu(&text, &last);
                        if (r < 0)
                                return r;
                }
                if (last < first || (n > 0 && first <= cpus[n - 1]))
                        return -EBADMSG;

                for (unsigned cpu = first; cpu <= last; cpu++)
                        cpus[n++] = cpu;

                if (*text == ',' && text[1] != '\0')
                        text++;
                else if (*text != '\0')
                        return -EBADMSG;
        }

        *ret_n = n;
        return 0;
}

int cpus_read_online(int sys_fd, unsigned **ret_cpus, size_t *ret_n_cpus)
{
        _cleanup_(freep) char *text = NULL;
        _cleanup_(freep) unsigned *cpus = NULL;
        size_t size, n;
        int r;

        r = attr_read_all(sys_fd, "devices/system/cpu/online", CPU_LIST_MAX, &text, &size);
        if (r < 0)
                return r;
        if (size > 0 && text[size - 1] == '\n')
                text[size - 1] = '\0';

        cpus = calloc(CPUS_MAX, sizeof(*cpus));
        if (!cpus)
                return -ENOMEM;
        r = parse_cpus(text, cpus, &n);
        if (r < 0)
                return r;
        if (n == 0)
                return -EBADMSG;

        *ret_cpus = TAKE_PTR(cpus);
        *ret_n_cpus = n;
        return 0;
}
