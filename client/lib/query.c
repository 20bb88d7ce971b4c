/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client/daxtier.h"
#include "client/lib/handle.h"
#include "daemon/kernel/backing.h"
#include "daemon/kernel/file.h"
#include "daemon/kernel/mapped.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/pagemap.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"
#include "policy/mapping.h"

typedef struct Answer Answer;

/* A struct daxtier_info, first, and its texts: one block, so that daxtier_free() is one free(). */
struct Answer {
        struct daxtier_info info;
        char policy_nodes[NODESET_TEXT_MAX];
        char file[];
};

static const int32_t info_kinds[] = {
        [MAPPING_FILE_UNKNOWN] = DAXTIER_KIND_UNKNOWN,  [MAPPING_ANON] = DAXTIER_KIND_ANON,
        [MAPPING_PAGE_CACHE] = DAXTIER_KIND_PAGE_CACHE, [MAPPING_DAX] = DAXTIER_KIND_DAX,
        [MAPPING_DEVICE_DAX] = DAXTIER_KIND_DEVICE_DAX,
};

static int info_new(const Mapping *mapping, struct daxtier_info **ret_info)
{
        size_t length = mapping->file ? strlen(mapping->file) : 0;
        Answer *answer;

        answer = calloc(1, sizeof(*answer) + length + 1);
        if (!answer)
                return -ENOMEM;

        answer->info = (struct daxtier_info){
                .size = sizeof(answer->info),
                .start = mapping->start,
                .end = mapping->end,
                .kind = info_kinds[mapping->kind],
                .shared = mapping->shared,
                .sync = mapping->sync,
                .backing_node = -1,
                .page_cache_bytes = -1,
                .cow_bytes = -1,
                .cow_cheap_bytes = -1,
                .cow_fast_bytes = -1,
                .read_latency_ns = -1,
                .write_latency_ns = -1,
                .read_bandwidth_mib = -1,
                .write_bandwidth_mib = -1,
        };

        if (mapping->file) {
                memcpy(answer->file, mapping->file, length + 1);
                answer->info.file = answer->file;
        }
        if (!nodeset_is_empty(&mapping->policy_nodes) &&
            nodeset_format(&mapping->policy_nodes, answer->policy_nodes,
                           sizeof(answer->policy_nodes)) == 0)
                answer->info.policy_nodes = answer->policy_nodes;

        *ret_info = &answer->info;
        return 0;
}

static int64_t page_cache_bytes(int process_fd, const Mapping *mapping)
{
        _cleanup_(closep) int path_fd = -1, fd = -1;
        char path[64];
        uint64_t bytes;

        if (mapping->kind == MAPPING_FILE_UNKNOWN)
                return -1;
        if (mapping->kind != MAPPING_PAGE_CACHE)
                return 0;

        if (mapped_open(process_fd, mapping, &path_fd) < 0)
                return -1;

        /* Only now, as it is known to be the regular file that is mapped: to open a device or a
         * FIFO has effects. */
        snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 ||
            file_page_cache_bytes(fd, mapping->offset, mapping->end - mapping->start, &bytes) < 0)
                return -1;

        return (int64_t)bytes;
}

static int32_t backing_node(int sys_fd, int process_fd, const Mapping *mapping)
{
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int node;

        if (mapping->kind == MAPPING_DAX &&
            backing_node_of_block(sys_fd, mapping->dev_major, mapping->dev_minor, &node) == 0)
                return node;

        if (mapping->kind == MAPPING_DEVICE_DAX && mapped_open(process_fd, mapping, &fd) == 0 &&
            fstat(fd, &st) == 0 &&
            backing_node_of_char(sys_fd, major(st.st_rdev), minor(st.st_rdev), &node) == 0)
                return node;

        return -1;
}

static int64_t bytes_on(const Copies *copies, const NodeSet *nodes)
{
        uint64_t bytes = 0;

        for (int n = nodeset_next(nodes, 0); n >= 0; n = nodeset_next(nodes, (unsigned)n + 1))
                bytes += copies->by_node[n];

        return (int64_t)bytes;
}

/* The node that holds most of the copies, or -1. */
static int32_t largest_node(const Copies *copies)
{
        int32_t largest = -1;

        for (int32_t node = 0; node < (int32_t)NODESET_MAX; node++)
                if (copies->by_node[node] > (largest < 0 ? 0 : copies->by_node[largest]))
                        largest = node;

        return largest;
}

static void info_set_perf(struct daxtier_info *info, const Machine *machine, int32_t node)
{
        for (size_t i = 0; i < machine->n_nodes; i++) {
                const NodePerf *perf = &machine->nodes[i].perf;

                if ((int32_t)machine->nodes[i].id != node || !perf->from_hmat)
                        continue;

                info->read_latency_ns = perf->read_latency_ns;
                info->write_latency_ns = perf->write_latency_ns;
                info->read_bandwidth_mib = perf->read_bandwidth_mib;
                info->write_bandwidth_mib = perf->write_bandwidth_mib;
                info->perf_source = DAXTIER_PERF_HMAT;
        }
}

/* What depends on the tiers. @copies is NULL if they could not be counted. */
static void handle_fill(daxtier *handle, const Copies *copies, struct daxtier_info *info)
{
        int32_t node = info->backing_node;

        if (node < 0 && copies)
                node = largest_node(copies);

        pthread_mutex_lock(&handle->lock);
        info_set_perf(info, &handle->machine, node);
        if (copies) {
                info->cow_bytes = (int64_t)copies->bytes;
                info->cow_cheap_bytes = bytes_on(copies, &handle->machine.tiers.cheap);
                info->cow_fast_bytes = bytes_on(copies, &handle->machine.tiers.fast);
        }
        pthread_mutex_unlock(&handle->lock);
}

int daxtier_query(daxtier *handle, pid_t pid, const void *address, struct daxtier_info **ret_info)
{
        _cleanup_(closep) int sys_fd = -1, proc_fd = -1, process_fd = -1;
        _cleanup_(mapping_deinit) Mapping mapping = {};
        struct daxtier_info *info;
        Copies copies = {};
        int counted, r;

        if (!handle || !ret_info || pid < 0)
                return -EINVAL;

        /* The tiers may have changed since daxtier_open(); if /sys cannot be read any more, those
         * of then are the best there is. */
        r = handle_refresh(handle);
        if (r == -ENOMEM)
                return r;

        sys_fd = open(handle->sys_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (proc_fd < 0)
                return -errno;

        r = process_open(proc_fd, pid, &process_fd);
        if (r < 0)
                return r;
        r = mapping_find(process_fd, (uint64_t)(uintptr_t)address, &mapping);
        if (r < 0)
                return r;
        counted = pagemap_count_copies(process_fd, pid, &mapping, mapping.start, mapping.end,
                                       &copies);
        if (counted == -ESRCH || counted == -ENOMEM)
                return counted;

        r = info_new(&mapping, &info);
        if (r < 0)
                return r;

        info->backing_node = backing_node(sys_fd, process_fd, &mapping);
        info->page_cache_bytes = page_cache_bytes(process_fd, &mapping);
        handle_fill(handle, counted < 0 ? NULL : &copies, info);

        *ret_info = info;
        return 0;
}

void daxtier_free(struct daxtier_info *info)
{
        free(info);
}
