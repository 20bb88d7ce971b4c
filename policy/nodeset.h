/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The largest node count any Linux is built for (MAX_NUMNODES: NODES_SHIFT is at most 10). */
#define NODESET_MAX 1024u

#define NODESET_BITS_PER_WORD (8u * sizeof(unsigned long))

/* Room for any set that nodeset_format() writes: the worst is every other node, at most five
 * characters each, and the terminating null byte. */
#define NODESET_TEXT_MAX 2560u

typedef struct NodeSet NodeSet;

/* A set of NUMA nodes, laid out as the kernel's node mask: bit N of the array is node N. */
struct NodeSet {
        unsigned long bits[NODESET_MAX / NODESET_BITS_PER_WORD];
};

void nodeset_add(NodeSet *set, unsigned node);
void nodeset_remove(NodeSet *set, unsigned node);
void nodeset_union(NodeSet *set, const NodeSet *other);
void nodeset_intersect(NodeSet *set, const NodeSet *other);
bool nodeset_has(const NodeSet *set, unsigned node);
bool nodeset_is_empty(const NodeSet *set);
bool nodeset_equal(const NodeSet *a, const NodeSet *b);
unsigned nodeset_count(const NodeSet *set);

/* The first node at or after @from, or -1. Loop: for (n = nodeset_next(s, 0); n >= 0;
 * n = nodeset_next(s, (unsigned)n + 1)). */
int nodeset_next(const NodeSet *set, unsigned from);

/* The first node that is in both, or -1. */
int nodeset_first_common(const NodeSet *a, const NodeSet *b);

/* The kernel's list format, as in /sys/devices/system/node/online: "0", "0,2-3". An empty text is
 * an empty set. -EINVAL: not such a list; -ERANGE: a node beyond NODESET_MAX. */
int nodeset_parse(const char *text, NodeSet *ret_set);

/* The reverse; an empty set is "". -ENOSPC if @size is too small, NODESET_TEXT_MAX always fits. */
int nodeset_format(const NodeSet *set, char *text, size_t size);
