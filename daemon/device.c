/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/device.h"

#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <syslog.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/memblock.h"
#include "policy/macro.h"

/* A dax device is split into few ranges by resizing; beyond this a stranger's sysfs is broken. */
#define DEVICE_RANGES_MAX 1024u

static void contextp(struct daxctl_ctx **context)
{
        daxctl_unref(*context);
}

void device_deinit(Device *device)
{
        free(device->path);
        free(device->ranges);
        *device = (Device){};
}

void devices_free(Device *devices, size_t n_devices)
{
        for (size_t i = 0; i < n_devices; i++)
                device_deinit(&devices[i]);
        free(devices);
}

const char *device_mode_name(DeviceMode mode)
{
        switch (mode) {
        case DEVICE_MODE_DEVDAX:
                return "devdax";
        case DEVICE_MODE_SYSTEM_RAM:
                return "system-ram";
        case DEVICE_MODE_DISABLED:
                return "disabled";
        }
        return "unknown";
}

bool device_is_named(const Device *device, const char *name)
{
        if (strncmp(name, "uuid:", 5) == 0)
                return device->uuid[0] != '\0' && strcasecmp(device->uuid, name + 5) == 0;
        if (strncmp(name, "path:", 5) == 0)
                return device->path && fnmatch(name + 5, device->path, 0) == 0;
        return strcmp(device->chardev, name) == 0;
}

/* libdaxctl's memory object exists for a device bound to kmem and for no other. */
static DeviceMode mode_of(struct daxctl_dev *dev)
{
        if (!daxctl_dev_is_enabled(dev))
                return DEVICE_MODE_DISABLED;
        return daxctl_dev_get_memory(dev) ? DEVICE_MODE_SYSTEM_RAM : DEVICE_MODE_DEVDAX;
}

/* The uuid attribute of the region's device (nd_dax) is the one that ndctl prints for a devdax
 * namespace; libdaxctl only has it when libndctl made the region. */
static void uuid_read(struct daxctl_region *region, char *uuid, size_t size)
{
        char path[PATH_MAX], text[64];

        if ((size_t)snprintf(path, sizeof(path), "%s/uuid", daxctl_region_get_path(region)) >=
            sizeof(path))
                return;
        if (attr_read(AT_FDCWD, path, text, sizeof(text)) != 36)
                return;
        snprintf(uuid, size, "%.36s", text);
}

static int ranges_add(Device *device, uint64_t start, uint64_t size)
{
        DeviceRange *ranges;

        if (device->n_ranges >= DEVICE_RANGES_MAX)
                return -E2BIG;

        ranges = reallocarray(device->ranges, device->n_ranges + 1, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;

        device->ranges = ranges;
        device->ranges[device->n_ranges++] = (DeviceRange){ .start = start, .size = size };
        return 0;
}

/* The mapping attributes are root's and came with 5.10; without them the one range is resource. */
static int ranges_read(struct daxctl_dev *dev, Device *device)
{
        struct daxctl_mapping *mapping;
        int r;

        daxctl_mapping_foreach (dev, mapping) {
                r = ranges_add(device, daxctl_mapping_get_start(mapping),
                               daxctl_mapping_get_size(mapping));
                if (r < 0)
                        return r;
        }

        if (device->n_ranges == 0 && device->resource != 0)
                return ranges_add(device, device->resource, device->size);
        return 0;
}

static void count_block(Device *device, const MemBlock *block)
{
        device->total_memblocks++;
        if (block->state != MEMBLOCK_ONLINE)
                return;
        device->online_memblocks++;
        if (block->zone == MEMBLOCK_ZONE_MOVABLE)
                device->movable_memblocks++;
}

/* Counts the device's blocks. Not being root we do not know its ranges: then those of its node,
 * which kmem nearly always fills with one device alone. */
static int blocks_count(int sys_fd, Device *device)
{
        const DeviceRange everything = { .start = 0, .size = UINT64_MAX };
        const DeviceRange *ranges = device->n_ranges > 0 ? device->ranges : &everything;
        size_t n_ranges = device->n_ranges > 0 ? device->n_ranges : 1;

        for (size_t i = 0; i < n_ranges; i++) {
                _cleanup_(freep) MemBlock *blocks = NULL;
                size_t n_blocks;
                int r;

                r = memblocks_read(sys_fd, ranges[i].start, ranges[i].size, &blocks, &n_blocks);
                if (r < 0)
                        return r;

                for (size_t k = 0; k < n_blocks; k++)
                        if (device->n_ranges > 0 || blocks[k].node == device->target_node)
                                count_block(device, &blocks[k]);
        }

        return 0;
}

static int device_fill(int sys_fd, struct daxctl_region *region, struct daxctl_dev *dev,
                       Device *ret_device)
{
        const char *region_path = daxctl_region_get_path(region);
        _cleanup_(device_deinit) Device device = {
                .size = daxctl_dev_get_size(dev),
                .align = daxctl_dev_get_align(dev),
                .resource = daxctl_dev_get_resource(dev),
                .target_node = daxctl_dev_get_target_node(dev),
                .number = makedev((unsigned)daxctl_dev_get_major(dev),
                                  (unsigned)daxctl_dev_get_minor(dev)),
                .mode = mode_of(dev),
        };
        int r;

        snprintf(device.chardev, sizeof(device.chardev), "%s", daxctl_dev_get_devname(dev));
        uuid_read(region, device.uuid, sizeof(device.uuid));

        if (strncmp(region_path, "/sys/", 5) == 0)
                region_path += 4;
        if (asprintf(&device.path, "%s/%s", region_path, device.chardev) < 0) {
                device.path = NULL;
                return -ENOMEM;
        }

        r = ranges_read(dev, &device);
        if (r < 0)
                return r;

        if (device.mode == DEVICE_MODE_SYSTEM_RAM) {
                r = blocks_count(sys_fd, &device);
                if (r < 0)
                        return r;
        }

        *ret_device = device;
        device = (Device){};
        return 0;
}

/* "dax2.0" before "dax10.0", as a person counts. */
static int device_compare(const void *a, const void *b)
{
        return strverscmp(((const Device *)a)->chardev, ((const Device *)b)->chardev);
}

static int devices_append(Device **devices, size_t *n_devices, Device *device)
{
        Device *larger;

        larger = reallocarray(*devices, *n_devices + 1, sizeof(**devices));
        if (!larger)
                return -ENOMEM;

        larger[(*n_devices)++] = *device;
        *device = (Device){};
        *devices = larger;
        return 0;
}

static int context_new(struct daxctl_ctx **ret_context)
{
        int r;

        r = daxctl_new(ret_context);
        if (r < 0)
                return r;

        /* It would write to stderr what we report ourselves. */
        daxctl_set_log_priority(*ret_context, LOG_EMERG);
        return 0;
}

static int devices_collect(struct daxctl_ctx *context, int sys_fd, Device **devices,
                           size_t *n_devices)
{
        struct daxctl_region *region;
        struct daxctl_dev *dev;

        daxctl_region_foreach (context, region) {
                daxctl_dev_foreach (region, dev) {
                        _cleanup_(device_deinit) Device device = {};
                        int r;

                        /* The seed of a region that can be divided: nothing to online. */
                        if (daxctl_dev_get_size(dev) == 0)
                                continue;

                        r = device_fill(sys_fd, region, dev, &device);
                        if (r < 0)
                                return r;
                        r = devices_append(devices, n_devices, &device);
                        if (r < 0)
                                return r;
                }
        }

        return 0;
}

int devices_read(Device **ret_devices, size_t *ret_n_devices)
{
        _cleanup_(contextp) struct daxctl_ctx *context = NULL;
        _cleanup_(closep) int sys_fd = -1;
        Device *devices = NULL;
        size_t n_devices = 0;
        int r;

        if (access("/sys/bus/dax/devices", F_OK) < 0)
                return errno == ENOENT ? -EOPNOTSUPP : -errno;

        sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sys_fd < 0)
                return -errno;

        r = context_new(&context);
        if (r < 0)
                return r;

        r = devices_collect(context, sys_fd, &devices, &n_devices);
        if (r < 0) {
                devices_free(devices, n_devices);
                return r;
        }

        if (n_devices > 0)
                qsort(devices, n_devices, sizeof(*devices), device_compare);
        *ret_devices = devices;
        *ret_n_devices = n_devices;
        return 0;
}

int device_find(const char *name, Device *ret_device)
{
        Device *devices = NULL;
        size_t n_devices = 0, found = 0;
        unsigned matches = 0;
        int r;

        r = devices_read(&devices, &n_devices);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_devices; i++)
                if (device_is_named(&devices[i], name)) {
                        found = i;
                        matches++;
                }

        if (matches == 1) {
                *ret_device = devices[found];
                devices[found] = (Device){};
        }
        devices_free(devices, n_devices);
        return matches == 1 ? 0 : matches == 0 ? -ENODEV : -ENOTUNIQ;
}

static struct daxctl_dev *dev_by_name(struct daxctl_ctx *context, const char *chardev)
{
        struct daxctl_region *region;
        struct daxctl_dev *dev;

        daxctl_region_foreach (context, region) {
                daxctl_dev_foreach (region, dev) {
                        if (strcmp(daxctl_dev_get_devname(dev), chardev) == 0)
                                return dev;
                }
        }

        return NULL;
}

/* Binds a device to kmem or to devdax. In a context of its own each time: disabling a device that
 * was enabled in the same context drops libdaxctl's reference to its module twice. */
static int device_bind(const Device *device, bool kmem)
{
        _cleanup_(contextp) struct daxctl_ctx *context = NULL;
        struct daxctl_dev *dev;
        int r;

        r = context_new(&context);
        if (r < 0)
                return r;

        dev = dev_by_name(context, device->chardev);
        if (!dev)
                return -ENODEV;

        r = daxctl_dev_disable(dev);
        if (r >= 0)
                r = kmem ? daxctl_dev_enable_ram(dev) : daxctl_dev_enable_devdax(dev);
        if (r < 0)
                return r;

        /* Enabling succeeds whatever driver is bound. */
        return (mode_of(dev) == DEVICE_MODE_SYSTEM_RAM) == kmem ? 0 : -EBUSY;
}

int device_bind_kmem(const Device *device)
{
        int r;

        r = device_bind(device, true);
        if (r >= 0)
                return 0;

        if (access("/sys/bus/dax/drivers/kmem", F_OK) < 0)
                r = -EOPNOTSUPP;
        device_bind(device, false);
        return r;
}

int device_bind_devdax(const Device *device)
{
        return device_bind(device, false);
}
