/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/node.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"

#define NODE_DIR    "devices/system/node"
#define DAX_DIR     "bus/dax/devices"
#define ACCESS_PATH NODE_DIR "/node%u/%s/initiators"

/* At most four characters for each of NODESET_MAX nodes. */
#define DISTANCE_MAX 4200u

/* A node's meminfo is about forty lines of fifty characters. */
#define MEMINFO_MAX ((size_t)64 * 1024)

/* Reads one of the node lists, such as "online". */
static int read_list(int sys_fd, const char *name, NodeSet *ret_set)
{
        char path[64], text[NODESET_TEXT_MAX];
        int r;

        snprintf(path, sizeof(path), NODE_DIR "/%s", name);
        r = attr_read(sys_fd, path, text, sizeof(text));
        if (r < 0)
                return r;

        return nodeset_parse(text, ret_set);
}

/* Finds "Node 0 NAME:   123 kB" and returns it in bytes. */
static int meminfo_field(const char *meminfo, const char *name, uint64_t *ret_bytes)
{
        const char *field = strstr(meminfo, name);
        char *end;
        unsigned long long kib;

        if (!field)
                return -EBADMSG;

        field += strlen(name);
        errno = 0;
        kib = strtoull(field, &end, 10);
        if (errno != 0 || end == field || strncmp(end, " kB", 3) != 0 || kib > UINT64_MAX / 1024)
                return -EBADMSG;

        *ret_bytes = kib * 1024;
        return 0;
}

static int read_meminfo(int sys_fd, Node *node)
{
        _cleanup_(freep) char *text = NULL;
        char path[64];
        size_t size;
        int r;

        snprintf(path, sizeof(path), NODE_DIR "/node%u/meminfo", node->id);
        r = attr_read_all(sys_fd, path, MEMINFO_MAX, &text, &size);
        if (r < 0)
                return r;

        r = meminfo_field(text, " MemTotal:", &node->total_bytes);
        if (r < 0)
                return r;

        return meminfo_field(text, " MemFree:", &node->free_bytes);
}

/* One HMAT number. Some kernels print 0 where the firmware said nothing: unknown as well. */
static int64_t read_perf_number(int sys_fd, const char *initiators, const char *name)
{
        char path[128];
        uint64_t value;

        snprintf(path, sizeof(path), "%s/%s", initiators, name);
        if (attr_read_u64(sys_fd, path, &value) < 0 || value == 0 || value > INT64_MAX)
                return -1;

        return (int64_t)value;
}

static NodePerf read_access_class(int sys_fd, unsigned node, const char *access_class)
{
        NodePerf perf = NODE_PERF_UNKNOWN;
        char path[96];

        snprintf(path, sizeof(path), ACCESS_PATH, node, access_class);
        perf.read_latency_ns = read_perf_number(sys_fd, path, "read_latency");
        perf.write_latency_ns = read_perf_number(sys_fd, path, "write_latency");
        perf.read_bandwidth_mib = read_perf_number(sys_fd, path, "read_bandwidth");
        perf.write_bandwidth_mib = read_perf_number(sys_fd, path, "write_bandwidth");
        perf.from_hmat = perf.read_latency_ns >= 0 || perf.write_latency_ns >= 0 ||
                         perf.read_bandwidth_mib >= 0 || perf.write_bandwidth_mib >= 0;

        return perf;
}

/* The nodes that the numbers of a class are of. */
static NodeSet read_initiators(int sys_fd, unsigned node, const char *access_class)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        NodeSet initiators = {};
        char path[96];

        snprintf(path, sizeof(path), ACCESS_PATH, node, access_class);
        if (directory_open(sys_fd, path, &dir) < 0)
                return initiators;

        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                uint64_t initiator;

                if (name_is_numbered(entry->d_name, "node", &initiator) && initiator < NODESET_MAX)
                        nodeset_add(&initiators, (unsigned)initiator);
        }
        return initiators;
}

/* access0 is the nearest initiator of any kind, which may be a generic initiator (a GPU, a NIC): its
 * numbers say nothing about our programs. */
static void read_hmat(int sys_fd, const NodeSet *has_cpu, Node *node)
{
        NodeSet named;

        node->perf = read_access_class(sys_fd, node->id, "access1");
        node->initiators = read_initiators(sys_fd, node->id, "access1");
        nodeset_intersect(&node->initiators, has_cpu);
        if (node->perf.from_hmat)
                return;

        named = read_initiators(sys_fd, node->id, "access0");
        if (nodeset_is_empty(&named) || nodeset_first_common(&named, has_cpu) >= 0)
                node->perf = read_access_class(sys_fd, node->id, "access0");
        if (nodeset_is_empty(&node->initiators)) {
                node->initiators = named;
                nodeset_intersect(&node->initiators, has_cpu);
        }
}

/* "10 20 17": one number for each node that is online. */
static int read_distances(int sys_fd, unsigned node, const NodeSet *online,
                          uint8_t ret_distances[static NODESET_MAX])
{
        uint8_t distances[NODESET_MAX] = {};
        char path[64], text[DISTANCE_MAX];
        const char *at = text;
        int r;

        snprintf(path, sizeof(path), NODE_DIR "/node%u/distance", node);
        r = attr_read(sys_fd, path, text, sizeof(text));
        if (r < 0)
                return r;

        for (int to = nodeset_next(online, 0); to >= 0;
             to = nodeset_next(online, (unsigned)to + 1)) {
                char *end;
                unsigned long distance = strtoul(at, &end, 10);

                if (end == at || distance == 0 || distance > UINT8_MAX)
                        return -EBADMSG;
                distances[to] = (uint8_t)distance;
                at = end;
        }

        memcpy(ret_distances, distances, sizeof(distances));
        return 0;
}

static bool is_bound_to_kmem(int dax_fd, const char *device)
{
        char path[NAME_MAX + sizeof("/driver")], target[PATH_MAX];
        const char *driver;
        ssize_t length;

        snprintf(path, sizeof(path), "%s/driver", device);
        length = readlinkat(dax_fd, path, target, sizeof(target) - 1);
        if (length < 0)
                return false;

        target[length] = '\0';
        driver = strrchr(target, '/');
        return strcmp(driver ? driver + 1 : target, "kmem") == 0;
}

/* The nodes whose memory a dax device gave. A kernel without the dax bus has none. */
static int read_dax_nodes(int sys_fd, NodeSet *ret_set)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        NodeSet set = {};
        int r;

        r = directory_open(sys_fd, DAX_DIR, &dir);
        if (r < 0 && r != -ENOENT)
                return r;

        for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
                char path[NAME_MAX + sizeof("/target_node")];
                uint64_t target;

                if (entry->d_name[0] == '.' || !is_bound_to_kmem(dirfd(dir), entry->d_name))
                        continue;

                /* "-1" is no number to attr_read_u64(): a device without a node of its own. */
                snprintf(path, sizeof(path), "%s/target_node", entry->d_name);
                if (attr_read_u64(dirfd(dir), path, &target) == 0 && target < NODESET_MAX)
                        nodeset_add(&set, (unsigned)target);
        }

        *ret_set = set;
        return 0;
}

int nodes_read(int sys_fd, Node **ret_nodes, size_t *ret_n_nodes)
{
        _cleanup_(freep) Node *nodes = NULL;
        NodeSet online, has_cpu, has_memory, dax;
        size_t n_nodes = 0;
        int r;

        r = read_list(sys_fd, "online", &online);
        if (r >= 0)
                r = read_list(sys_fd, "has_cpu", &has_cpu);
        if (r >= 0)
                r = read_list(sys_fd, "has_memory", &has_memory);
        if (r >= 0)
                r = read_dax_nodes(sys_fd, &dax);
        if (r < 0)
                return r;

        nodes = calloc((size_t)nodeset_count(&online) + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;

        for (int id = nodeset_next(&online, 0); id >= 0;
             id = nodeset_next(&online, (unsigned)id + 1)) {
                Node *node = &nodes[n_nodes];

                *node = (Node){
                        .id = (unsigned)id,
                        .has_cpu = nodeset_has(&has_cpu, (unsigned)id),
                        .has_memory = nodeset_has(&has_memory, (unsigned)id),
                        .is_dax = nodeset_has(&dax, (unsigned)id),
                };

                r = read_meminfo(sys_fd, node);
                if (r == -ENOENT) /* went offline since we read the list */
                        continue;
                if (r < 0)
                        return r;

                read_hmat(sys_fd, &has_cpu, node);
                /* A node that comes or goes meanwhile shifts the row: then next time. */
                (void)read_distances(sys_fd, node->id, &online, node->distances);
                n_nodes++;
        }

        *ret_nodes = TAKE_PTR(nodes);
        *ret_n_nodes = n_nodes;
        return 0;
}

int node_free_bytes(int sys_fd, unsigned node, uint64_t *ret_bytes)
{
        Node facts = { .id = node };
        int r;

        r = read_meminfo(sys_fd, &facts);
        if (r < 0)
                return r;

        *ret_bytes = facts.free_bytes;
        return 0;
}

int node_distance(int sys_fd, unsigned from, unsigned to, unsigned *ret_distance)
{
        uint8_t distances[NODESET_MAX];
        NodeSet online;
        int r;

        r = read_list(sys_fd, "online", &online);
        if (r >= 0 && !nodeset_has(&online, to))
                r = -ENOENT;
        if (r >= 0)
                r = read_distances(sys_fd, from, &online, distances);
        if (r < 0)
                return r;

        *ret_distance = distances[to];
        return 0;
}
