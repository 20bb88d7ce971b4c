/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/mapping.h"

/* The largest /proc/PID/maps we read: 1 Mi VMAs of ~100 bytes, past every default max_map_count. */
#define MAPS_BYTES_MAX (UINT64_C(128) * 1024 * 1024)

/* One line of /proc/PID/maps into everything of @ret_mapping that the line tells (not .kind beyond
 * "has a file", not .sync, not .policy). The line is without its newline. -EBADMSG: not such a
 * line. */
int maps_parse_line(const char *line, Mapping *ret_mapping);

/* One line of numa_maps: VMA start, policy and its nodes. */
int numa_maps_parse_line(const char *line, uint64_t *ret_start, VmaPolicy *ret_policy,
                         NodeSet *ret_nodes);

/* Every VMA, by address; kind, policy (numa_maps) and MAP_SYNC (smaps' VmFlags) are not read here,
 * use mappings_inspect(). The caller frees with mappings_free(). A kernel thread has none.
 * -E2BIG: more than MAPS_BYTES_MAX, or a path of more than LINES_LINE_MAX. */
int maps_read(int process_fd, Mapping **ret_mappings, size_t *ret_n_mappings);
void mappings_free(Mapping *mappings, size_t n_mappings);

/* The VMA that holds @address, fully inspected. -EFAULT: nothing is mapped there.
 * -EACCES: another user's process. */
int mapping_find(int process_fd, uint64_t address, Mapping *ret_mapping);

/* Adds kind, sync and policy to mappings of maps_read(), in its order. The policy is what numa_maps
 * prints: that of the whole process where the VMA has none of its own. numa_maps walks the page
 * tables of every VMA up to the last of @mappings (~50 ns a page that is present), so ask for all
 * that are of interest in one call. The caller's own policies come from get_mempolicy(2), at once. smaps, which costs as much again, is only read if one of them
 * could be MAP_SYNC: shared, and not known to be in the page cache. */
int mappings_inspect(int process_fd, Mapping *mappings, size_t n_mappings);

/* The same for one. */
int mapping_inspect(int process_fd, Mapping *mapping);

/* The counts at the end of a line of numa_maps, in bytes: @ret_anonymous of what is a copy or
 * anonymous, @ret_by_node of every page that is present, whatever it is of; a DAX file's own pages
 * are in neither. */
void numa_maps_parse_counts(const char *line, uint64_t *ret_anonymous,
                            uint64_t ret_by_node[static NODESET_MAX]);

/* A VMA as numa_maps has it; see numa_maps_parse_counts(). @mapping is the one that starts there. */
typedef void (*numa_maps_fn)(Mapping *mapping, uint64_t anonymous,
                             const uint64_t by_node[static NODESET_MAX], void *userdata);

/* Reads numa_maps once, up to the last of @mappings (by address), sets the policy of each and gives
 * its counts to @fn. One that is not there any more is passed over. A kernel without NUMA has none. */
int numa_maps_read(int process_fd, Mapping *mappings, size_t n_mappings, numa_maps_fn fn,
                   void *userdata);

/* The same of the VMA that starts at @start. -EFAULT: there is none. */
int numa_maps_count(int process_fd, uint64_t start, uint64_t *ret_anonymous,
                    uint64_t ret_by_node[static NODESET_MAX]);
