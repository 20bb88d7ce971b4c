/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/threadpolicy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kernel/directory.h"
#include "daemon/kernel/lines.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* Sixteen digits, a blank, a policy of 63 bytes (inspect.c) and what ends it. */
#define HEAD_SIZE 81u

/* seq_file makes one record, and another only where the read asks for more than it has. No record is
 * shorter than this. */
#define READ_SIZE 16u

/* VMAs among which the program's code is looked for. */
#define VMAS_MAX 64u

typedef struct Records {
        int fd;
        char text[HEAD_SIZE + READ_SIZE];
        size_t size;
} Records;

typedef struct Tids {
        pid_t *items;
        size_t n;
        size_t allocated;
} Tids;

static void tids_deinit(Tids *tids)
{
        free(tids->items);
}

static int tids_append(Tids *tids, pid_t tid)
{
        if (tids->n == THREADS_MAX)
                return -E2BIG;
        if (tids->n == tids->allocated) {
                size_t larger = tids->allocated > 0 ? tids->allocated * 2 : 16;
                pid_t *items = reallocarray(tids->items, larger, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                tids->items = items;
                tids->allocated = larger;
        }

        tids->items[tids->n++] = tid;
        return 0;
}

int threads_list(int process_fd, pid_t **ret_tids, size_t *ret_n_tids)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(tids_deinit) Tids tids = {};
        const struct dirent *entry;
        int r;

        r = directory_open(process_fd, "task", &dir);
        if (r < 0)
                return process_result(process_fd, r);

        while ((errno = 0, entry = readdir(dir))) {
                uint64_t tid;

                if (!name_is_numbered(entry->d_name, "", &tid))
                        continue;
                r = tids_append(&tids, (pid_t)tid);
                if (r < 0)
                        return r;
        }
        if (errno != 0)
                return process_result(process_fd, -errno);
        if (tids.n == 0)
                return -ESRCH;

        *ret_tids = TAKE_PTR(tids.items);
        *ret_n_tids = tids.n;
        return 0;
}

/* 0: the end. */
static ssize_t records_fill(Records *records)
{
        ssize_t n;

        n = TEMP_FAILURE_RETRY(read(records->fd, records->text + records->size, READ_SIZE));
        if (n < 0)
                return -errno;

        records->size += (size_t)n;
        return n;
}

/* What is left of the record at the front. */
static int records_drop(Records *records)
{
        ssize_t n = 1;
        const char *end;

        while (!(end = memchr(records->text, '\n', records->size))) {
                records->size = 0;
                n = records_fill(records);
                if (n <= 0)
                        return n < 0 ? (int)n : -ENODATA;
        }

        end++;
        records->size -= (size_t)(end - records->text);
        memmove(records->text, end, records->size);
        return 0;
}

/* The record at the front. -ENODATA: the end. */
static int records_parse(Records *records, uint64_t *ret_start, VmaPolicy *ret_policy,
                         NodeSet *ret_nodes)
{
        char line[sizeof(records->text) + 1];
        const char *end;
        size_t length;

        while (!(end = memchr(records->text, '\n', records->size)) && records->size < HEAD_SIZE) {
                ssize_t n = records_fill(records);

                if (n <= 0)
                        return n < 0 ? (int)n : -ENODATA;
        }

        length = end ? (size_t)(end - records->text) : records->size;
        memcpy(line, records->text, length);
        line[length] = '\0';
        return numa_maps_parse_line(line, ret_start, ret_policy, ret_nodes);
}

/* Where the program's code is. 0: it was not found. */
static uint64_t find_code(int process_fd)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        char *line;

        if (lines_open(process_fd, "maps", MAPS_BYTES_MAX, &lines) < 0)
                return 0;

        for (unsigned i = 0; i < VMAS_MAX && lines_next(&lines, &line) >= 0 && line; i++) {
                _cleanup_(mapping_deinit) Mapping mapping = {};

                if (maps_parse_line(line, &mapping) >= 0 && mapping.executable &&
                    mapping.kind != MAPPING_ANON && !mapping.shared)
                        return mapping.start;
        }

        return 0;
}

static int policy_read(int thread_fd, Records *records, VmaPolicy *ret_policy, NodeSet *ret_nodes)
{
        uint64_t start, code;
        int r;

        r = records_parse(records, &start, ret_policy, ret_nodes);
        /* A VMA that has a policy does not have the default one. */
        if (r < 0 || *ret_policy == VMA_POLICY_DEFAULT)
                return r;

        code = find_code(thread_fd);
        while (r >= 0 && start < code) {
                r = records_drop(records);
                if (r >= 0)
                        r = records_parse(records, &start, ret_policy, ret_nodes);
        }

        return r == -ENODATA ? 0 : r; /* it has been unmapped since */
}

int thread_policy_read(int process_fd, pid_t tid, VmaPolicy *ret_policy, NodeSet *ret_nodes)
{
        _cleanup_(closep) int thread_fd = -1, fd = -1;
        VmaPolicy policy = VMA_POLICY_DEFAULT;
        NodeSet nodes = {};
        char path[32];
        int r;

        snprintf(path, sizeof(path), "task/%d", tid);
        thread_fd = openat(process_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (thread_fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;

        fd = openat(thread_fd, "numa_maps", O_RDONLY | O_CLOEXEC);
        r = fd < 0 ? -errno : policy_read(thread_fd, &(Records){ .fd = fd }, &policy, &nodes);
        r = process_result(thread_fd, r);
        if (r == -ESRCH || r == -ENODATA)
                r = process_without_memory(thread_fd);
        if (r < 0 && r != -ENOENT) /* a kernel without NUMA */
                return r;

        *ret_policy = policy;
        *ret_nodes = nodes;
        return 0;
}
