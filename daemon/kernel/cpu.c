/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/cpu.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* At most five characters for each of CPUS_MAX CPUs. */
#define CPU_LIST_MAX 65536u

/* Such a list, and some thousand characters of other fields. */
#define STATUS_MAX (CPU_LIST_MAX + 16384u)

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

/* An array of CPUS_MAX, which the caller frees, of @text up to its newline. */
static int parse_line(char *text, unsigned **ret_cpus, size_t *ret_n)
{
        _cleanup_(freep) unsigned *cpus = NULL;
        int r;

        text[strcspn(text, "\n")] = '\0';
        cpus = calloc(CPUS_MAX, sizeof(*cpus));
        if (!cpus)
                return -ENOMEM;
        r = parse_cpus(text, cpus, ret_n);
        if (r < 0)
                return r;

        *ret_cpus = TAKE_PTR(cpus);
        return 0;
}

static int read_cpus(int sys_fd, const char *path, unsigned **ret_cpus, size_t *ret_n)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;
        int r;

        r = attr_read_all(sys_fd, path, CPU_LIST_MAX, &text, &size);
        return r < 0 ? r : parse_line(text, ret_cpus, ret_n);
}

int cpus_read_online(int sys_fd, unsigned **ret_cpus, size_t *ret_n_cpus)
{
        _cleanup_(freep) unsigned *cpus = NULL;
        size_t n;
        int r;

        r = read_cpus(sys_fd, "devices/system/cpu/online", &cpus, &n);
        if (r < 0)
                return r;
        if (n == 0)
                return -EBADMSG;

        *ret_cpus = TAKE_PTR(cpus);
        *ret_n_cpus = n;
        return 0;
}

static bool have_common(const unsigned *a, size_t n_a, const unsigned *b, size_t n_b)
{
        for (size_t i = 0, j = 0; i < n_a && j < n_b;) {
                if (a[i] == b[j])
                        return true;
                if (a[i] < b[j])
                        i++;
                else
                        j++;
        }
        return false;
}

int cpus_read_nodes(int sys_fd, char *list, const NodeSet *candidates, NodeSet *ret_nodes)
{
        _cleanup_(freep) unsigned *listed = NULL;
        size_t n_listed, n_cpus;
        NodeSet nodes = {};
        int r;

        r = parse_line(list, &listed, &n_listed);
        if (r < 0)
                return r;

        for (int node = nodeset_next(candidates, 0); node >= 0;
             node = nodeset_next(candidates, (unsigned)node + 1)) {
                _cleanup_(freep) unsigned *cpus = NULL;
                char path[64];

                snprintf(path, sizeof(path), "devices/system/node/node%d/cpulist", node);
                r = read_cpus(sys_fd, path, &cpus, &n_cpus);
                if (r == -ENOENT) /* went offline */
                        continue;
                if (r < 0)
                        return r;
                if (have_common(listed, n_listed, cpus, n_cpus))
                        nodeset_add(&nodes, (unsigned)node);
        }

        *ret_nodes = nodes;
        return 0;
}

int cpus_read_home(int sys_fd, int process_fd, const NodeSet *candidates, NodeSet *ret_home)
{
        static const char field[] = "\nCpus_allowed_list:\t";
        _cleanup_(freep) char *text = NULL;
        char *line;
        size_t size;
        int r;

        r = attr_read_all(process_fd, "status", STATUS_MAX, &text, &size);
        if (r < 0)
                return process_result(process_fd, r);

        /* The name, which is first, is escaped: a newline begins a field. */
        line = strstr(text, field);
        return line ? cpus_read_nodes(sys_fd, line + strlen(field), candidates, ret_home)
                    : -EBADMSG;
}
