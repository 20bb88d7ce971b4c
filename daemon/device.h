/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/config.h"

typedef struct Device Device;
typedef struct DeviceRange DeviceRange;

typedef enum DeviceMode {
        DEVICE_MODE_DEVDAX,
        DEVICE_MODE_SYSTEM_RAM,
        DEVICE_MODE_DISABLED, /* no driver bound */
} DeviceMode;

/* A physical range of a device. A device that was resized may have several. */
struct DeviceRange {
        uint64_t start;
        uint64_t size; /* bytes */
};

/* A dax device as libdaxctl shows it now: a const snapshot. */
struct Device {
        char chardev[32];    /* "dax1.0" */
        char *path;          /* below /sys, as udev's DEVPATH: "/devices/…/dax1.0" */
        dev_t number;        /* of /dev/dax1.0 */
        char uuid[37];       /* of its ndctl namespace; "" if it has none */
        uint64_t size;       /* bytes */
        uint64_t align;      /* bytes, 0: unknown */
        uint64_t resource;   /* physical start, 0: the kernel does not tell us (not root) */
        DeviceRange *ranges; /* none: the kernel does not tell us (not root) */
        size_t n_ranges;
        int target_node; /* -1: none */
        DeviceMode mode;
        unsigned online_memblocks; /* system-ram only; without ranges: of the whole node */
        unsigned total_memblocks;
        unsigned movable_memblocks; /* of the online ones */
};

/* Every dax device that has a size, ordered by name. -EOPNOTSUPP: this kernel has no dax bus (yet:
 * its module may still come). */
int devices_read(Device **ret_devices, size_t *ret_n_devices);
void devices_free(Device *devices, size_t n_devices);

/* Whether "dax1.0", "uuid:…" or "path:GLOB" (fnmatch on .path) names this device. An empty uuid
 * names none. */
bool device_is_named(const Device *device, const char *name);

/* The one device that @name names. -ENODEV: none; -ENOTUNIQ: a path glob that names several. */
int device_find(const char *name, Device *ret_device);
void device_deinit(Device *device);

/* daxctl's words: "devdax", "system-ram"; "disabled" is ours. */
const char *device_mode_name(DeviceMode mode);

/* Takes the device from its driver, if it has one, and gives it to kmem: its memory becomes a NUMA
 * node's. Loads the driver's module if need be. Whoever has the device open loses it. On failure
 * the device is devdax again. -EOPNOTSUPP: the kernel has no kmem driver. Blocks for seconds. */
int device_bind_kmem(const Device *device);

/* The way back, or the way out of disabled. All blocks must be offline: kmem would keep the others
 * until the next boot. */
int device_bind_devdax(const Device *device);
