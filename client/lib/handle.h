/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/daxtier.h"
#include "client/lib/ranges.h"
#include "policy/tier.h"

typedef struct Machine Machine;

/* What the daemon publishes is a few lines a tier; more is not ours. */
#define PUBLISHED_BYTES_MAX ((size_t)64 * 1024)

/* A snapshot of the nodes and of the tiers they make. Built new and swapped in. */
struct Machine {
        Node *nodes;
        size_t n_nodes;
        NodeSet memory; /* nodes that have memory */
        Tiers tiers;
};

/* Holds no file descriptors: programs close, in bulk, what they do not know. */
struct daxtier {
        const char *sys_path;
        const char *published_path;
        pthread_mutex_t lock; /* of everything below */
        Machine machine;
        Ranges ranges; /* made by daxtier_map() */
};

/* daxtier_open() on other paths, which must outlive the handle. */
int handle_new(const char *sys_path, const char *published_path, daxtier **ret_handle);

/* Looks at the machine again. On failure the old snapshot stays. */
int handle_refresh(daxtier *handle);

/* The nodes with memory that @tier stands for; the empty set for TIER_DEFAULT. Looks again, once,
 * before it says -ENXIO: the node may be online by now. */
int handle_resolve(daxtier *handle, const Tier *tier, NodeSet *ret_nodes);

/* Have @nodes @length bytes free between them? Looks at the machine again. -ENOSPC: no. */
int handle_check_room(daxtier *handle, const NodeSet *nodes, uint64_t length);

/* Puts @tier's policy on a range of the caller: @nodes is what handle_resolve() said. Where the
 * kernel refuses the nodes, resolves once more, since one may have gone: -ENXIO. -EPERM: they are
 * there and this process may not use them. -EFAULT: the range has a hole. */
int handle_apply(daxtier *handle, void *address, size_t length, const Tier *tier,
                 const NodeSet *nodes, bool strict);
