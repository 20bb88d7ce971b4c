/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/lib/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/mempolicy.h"
#include "daemon/kernel/node.h"
#include "policy/macro.h"
#include "policy/published.h"

static void machine_deinit(Machine *machine)
{
        free(machine->nodes);
        *machine = (Machine){};
}

/* The tiers that the daemon publishes. They are the administrator's word; without a daemon, or with
 * a file that is not its, the nodes themselves say. */
static bool published_read(const char *path, Tiers *ret_tiers)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;

        if (attr_read_all(AT_FDCWD, path, PUBLISHED_BYTES_MAX, &text, &size) < 0)
                return false;

        return tiers_parse(text, ret_tiers) >= 0;
}

static int machine_read(const char *sys_path, const char *published_path, Machine *ret_machine)
{
        _cleanup_(closep) int sys_fd = -1;
        _cleanup_(freep) Node *nodes = NULL;
        Machine machine = {};
        Tiers published;
        bool is_published;
        size_t n_nodes;
        int r;

        sys_fd = open(sys_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (sys_fd < 0)
                return errno == ENOENT ? -ENOSYS : -errno;

        r = nodes_read(sys_fd, &nodes, &n_nodes);
        if (r < 0)
                return r == -ENOENT ? -ENOSYS : r;

        for (size_t i = 0; i < n_nodes; i++)
                if (nodes[i].has_memory)
                        nodeset_add(&machine.memory, nodes[i].id);

        is_published = published_read(published_path, &published);
        tiers_sort(nodes, n_nodes, is_published ? &published.cheap : NULL,
                   is_published ? &published.fast : NULL, &machine.tiers);

        machine.nodes = TAKE_PTR(nodes);
        machine.n_nodes = n_nodes;
        *ret_machine = machine;
        return 0;
}

int handle_new(const char *sys_path, const char *published_path, daxtier **ret_handle)
{
        daxtier *handle;
        int r;

        handle = calloc(1, sizeof(*handle));
        if (!handle)
                return -ENOMEM;

        r = machine_read(sys_path, published_path, &handle->machine);
        if (r < 0) {
                free(handle);
                return r;
        }

        handle->sys_path = sys_path;
        handle->published_path = published_path;
        pthread_mutex_init(&handle->lock, NULL);
        *ret_handle = handle;
        return 0;
}

int daxtier_open(daxtier **ret_daxtier)
{
        if (!ret_daxtier)
                return -EINVAL;

        return handle_new("/sys", PUBLISHED_PATH, ret_daxtier);
}

void daxtier_close(daxtier *handle)
{
        if (!handle)
                return;

        machine_deinit(&handle->machine);
        ranges_deinit(&handle->ranges);
        pthread_mutex_destroy(&handle->lock);
        free(handle);
}

int handle_refresh(daxtier *handle)
{
        Machine machine, old;
        int r;

        r = machine_read(handle->sys_path, handle->published_path, &machine);
        if (r < 0)
                return r;

        pthread_mutex_lock(&handle->lock);
        old = handle->machine;
        handle->machine = machine;
        pthread_mutex_unlock(&handle->lock);

        machine_deinit(&old);
        return 0;
}

static int machine_resolve(const Machine *machine, const Tier *tier, NodeSet *ret_nodes)
{
        NodeSet nodes;
        int r;

        r = tiers_resolve(&machine->tiers, tier, &nodes);
        if (r < 0)
                return r;

        for (int n = nodeset_next(&nodes, 0); n >= 0; n = nodeset_next(&nodes, (unsigned)n + 1))
                if (!nodeset_has(&machine->memory, (unsigned)n))
                        nodeset_remove(&nodes, (unsigned)n);

        if (tier->kind != TIER_DEFAULT && nodeset_is_empty(&nodes))
                return -ENXIO;

        *ret_nodes = nodes;
        return 0;
}

static int handle_resolve_known(daxtier *handle, const Tier *tier, NodeSet *ret_nodes)
{
        int r;

        pthread_mutex_lock(&handle->lock);
        r = machine_resolve(&handle->machine, tier, ret_nodes);
        pthread_mutex_unlock(&handle->lock);

        return r;
}

int handle_resolve(daxtier *handle, const Tier *tier, NodeSet *ret_nodes)
{
        int r;

        r = handle_resolve_known(handle, tier, ret_nodes);
        if (r != -ENXIO)
                return r;

        r = handle_refresh(handle);
        if (r < 0)
                return r;

        return handle_resolve_known(handle, tier, ret_nodes);
}

int handle_check_room(daxtier *handle, const NodeSet *nodes, uint64_t length)
{
        uint64_t free_bytes = 0;
        int r;

        r = handle_refresh(handle);
        if (r < 0)
                return r;

        pthread_mutex_lock(&handle->lock);
        for (size_t i = 0; i < handle->machine.n_nodes; i++)
                if (nodeset_has(nodes, handle->machine.nodes[i].id))
                        free_bytes += handle->machine.nodes[i].free_bytes;
        pthread_mutex_unlock(&handle->lock);

        return free_bytes < length ? -ENOSPC : 0;
}

int handle_apply(daxtier *handle, void *address, size_t length, const Tier *tier,
                 const NodeSet *nodes, bool strict)
{
        NodeSet now;
        int r;

        r = mempolicy_apply(address, length, nodes, strict);
        if (r != -EINVAL)
                return r;

        r = handle_refresh(handle);
        if (r < 0)
                return r;
        r = handle_resolve_known(handle, tier, &now);
        if (r < 0)
                return r;

        r = mempolicy_apply(address, length, &now, strict);
        return r == -EINVAL ? -EPERM : r;
}
