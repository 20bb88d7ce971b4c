/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

typedef struct Device Device;

typedef enum DeviceMode {
        DEVICE_MODE_DEVDAX,
        DEVICE_MODE_SYSTEM_RAM,
        DEVICE_MODE_DISABLED, /* no driver bound */
} DeviceMode;

/* A dax device as libdaxctl shows it now: a const snapshot. */
struct Device {
        char chardev[32];  /* "dax1.0" */
        char *path;        /* below /sys/devices, as udev's DEVPATH */
        char uuid[37];     /* of its ndctl namespace; "" if it has none */
        uint64_t size;     /* bytes */
        uint64_t align;    /* bytes, 0: unknown */
        uint64_t resource; /* physical start, 0: the kernel does not tell us (not root) */
        int target_node;   /* -1: none */
        DeviceMode mode;
        unsigned online_memblocks; /* system-ram only */
        unsigned total_memblocks;
        unsigned movable_memblocks; /* of the online ones */
};

/* Every dax device, ordered by name. -EOPNOTSUPP: this kernel has no dax bus. */
int devices_read(Device **ret_devices, size_t *ret_n_devices);
void devices_free(Device *devices, size_t n_devices);

/* Whether "dax1.0", "uuid:…" or "path:GLOB" (fnmatch on .path) names this device. */
bool device_is_named(const Device *device, const char *name);

/* The one device that @name names. -ENODEV: none; -ENOTUNIQ: a path glob that names several. */
int device_find(const char *name, Device *ret_device);
void device_deinit(Device *device);

const char *device_mode_name(DeviceMode mode); /* daxctl's words: "devdax", "system-ram" */
