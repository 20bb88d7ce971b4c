/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/cpu.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"

/* About forty lines of memory.numa_stat, each with twenty-odd characters for each of 1024 nodes. */
#define NUMA_STAT_MAX ((size_t)1024 * 1024)

/* At most five characters for each of 8192 CPUs. */
#define CPUSET_MAX ((size_t)64 * 1024)

/* The path of the cgroup above, cut in place; false for the root's. */
static bool path_cut(char *path)
{
        char *slash = strrchr(path, '/');

        if (!slash || path[1] == '\0')
                return false;
        slash[slash == path ? 1 : 0] = '\0';
        return true;
}

/* A cgroup that is gone has nothing of its own any more; those above it do. */
static int open_if_there(int root_fd, const char *path, int *ret_fd)
{
        int r = cgroup_open(root_fd, path, ret_fd);

        return r == -ENOENT && strcmp(path, "/") != 0 ? 0 : r;
}

/* A file of the cpuset controller, of the cgroup or of the next one above it that has the controller.
 * The caller frees. -ENODATA: none has. */
static int read_cpuset(int root_fd, const char *path, const char *name, char **ret_text)
{
        _cleanup_(freep) char *at = strdup(path);

        if (!at)
                return -ENOMEM;

        do {
                _cleanup_(closep) int fd = -1;
                size_t size;
                int r;

                r = open_if_there(root_fd, at, &fd);
                if (r < 0)
                        return r;
                r = fd >= 0 ? attr_read_all(fd, name, CPUSET_MAX, ret_text, &size) : -ENOENT;
                if (r >= 0 || (r != -ENOENT && r != -ENODEV))
                        return r;
        } while (path_cut(at));

        return -ENODATA;
}

int cgroup_allowed_nodes(int root_fd, const char *path, NodeSet *ret_nodes)
{
        _cleanup_(freep) char *text = NULL;
        int r;

        r = read_cpuset(root_fd, path, "cpuset.mems.effective", &text);
        if (r < 0)
                return r;

        text[strcspn(text, "\n")] = '\0';
        return nodeset_parse(text, ret_nodes);
}

int cgroup_home_nodes(int root_fd, int sys_fd, const char *path, const NodeSet *candidates,
                      NodeSet *ret_nodes)
{
        _cleanup_(freep) char *text = NULL;
        int r;

        r = read_cpuset(root_fd, path, "cpuset.cpus.effective", &text);
        return r < 0 ? r : cpus_read_nodes(sys_fd, text, candidates, ret_nodes);
}

int cgroup_memory_path(int root_fd, const char *path, char **ret_path)
{
        _cleanup_(freep) char *at = strdup(path);

        if (!at)
                return -ENOMEM;

        do {
                _cleanup_(closep) int fd = -1;
                /* The root has statistics, but no count of its own. */
                const char *file = strcmp(at, "/") == 0 ? "memory.stat" : "memory.current";
                int r;

                r = open_if_there(root_fd, at, &fd);
                if (r < 0)
                        return r;
                if (fd >= 0 && faccessat(fd, file, F_OK, 0) == 0) {
                        *ret_path = TAKE_PTR(at);
                        return 0;
                }
        } while (path_cut(at));

        return -EOPNOTSUPP;
}

/* "anon N0=4096 N1=0": the sum over @nodes. */
static int sum_nodes(char *line, const NodeSet *nodes, uint64_t *ret_bytes)
{
        uint64_t sum = 0;
        char *state = NULL;

        for (char *word = strtok_r(line, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
                char *equals = strchr(word, '='), *end;
                unsigned long long bytes;
                uint64_t node;

                if (!equals)
                        continue; /* the line's name */
                *equals = '\0';
                errno = 0;
                bytes = strtoull(equals + 1, &end, 10);
                if (errno != 0 || end == equals + 1 || *end != '\0' ||
                    !name_is_numbered(word, "N", &node))
                        return -EBADMSG;
                if (node < NODESET_MAX && nodeset_has(nodes, (unsigned)node))
                        sum += bytes;
        }

        *ret_bytes = sum;
        return 0;
}

static int read_all(int root_fd, const char *path, const char *file, char **ret_text)
{
        _cleanup_(closep) int fd = -1;
        size_t size;
        int r;

        r = cgroup_open(root_fd, path, &fd);
        if (r < 0)
                return r;

        r = attr_read_all(fd, file, NUMA_STAT_MAX, ret_text, &size);
        if (r == -ENOENT)
                return -EOPNOTSUPP;
        return r == -ENODEV ? -ENOENT : r;
}

int cgroup_node_bytes(int root_fd, const char *path, const NodeSet *nodes, uint64_t *ret_bytes)
{
        _cleanup_(freep) char *text = NULL;
        char *state = NULL;
        int r;

        r = read_all(root_fd, path, "memory.numa_stat", &text);
        if (r < 0)
                return r;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
                if (strncmp(line, "anon ", 5) == 0)
                        return sum_nodes(line, nodes, ret_bytes);

        return -EBADMSG;
}

int cgroup_scanned_pages(int root_fd, const char *path, uint64_t *ret_pages)
{
        _cleanup_(freep) char *text = NULL;
        unsigned long long pages;
        const char *line;
        int r;

        r = read_all(root_fd, path, "memory.stat", &text);
        if (r < 0)
                return r;

        line = strncmp(text, "pgscan ", 7) == 0 ? text : strstr(text, "\npgscan ");
        if (!line || sscanf(line + (*line == '\n'), "pgscan %llu", &pages) != 1)
                return -ENODATA;
        *ret_pages = pages;
        return 0;
}
