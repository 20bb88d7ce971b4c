/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/managed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "policy/macro.h"

#define USEC_PER_SEC    UINT64_C(1000000)
#define BACKOFF_MAX_SEC 60u

const char *managed_state_name(ManagedState state)
{
        static const char *const names[] = {
                [MANAGED_ABSENT] = "absent",       [MANAGED_IDLE] = "idle",
                [MANAGED_ONLINING] = "onlining",   [MANAGED_ONLINE] = "online",
                [MANAGED_PARTIAL] = "partial",     [MANAGED_FAILED] = "failed",
                [MANAGED_OFFLINING] = "offlining", [MANAGED_OFFLINE] = "offline",
        };

        return names[state];
}

static void reason_set(Managed *managed, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void reason_set(Managed *managed, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(managed->reason, sizeof(managed->reason), format, arguments);
        va_end(arguments);
}

static void retry_reset(Managed *managed)
{
        managed->n_failures = 0;
        managed->retry_at_usec = 0;
}

static void set_absent(Managed *managed)
{
        managed->state = MANAGED_ABSENT;
        reason_set(managed, "not present");
        managed->chardev[0] = '\0';
        managed->verified = false;
        managed->held = false;
        managed->online_memblocks = 0;
        managed->total_memblocks = 0;
        managed->target_node = -1;
        retry_reset(managed);
}

void managed_free(Managed *managed, size_t n_managed)
{
        for (size_t i = 0; i < n_managed; i++)
                free(managed[i].name);
        free(managed);
}

Managed *managed_find(Managed *managed, size_t n_managed, const char *name)
{
        for (size_t i = 0; i < n_managed; i++)
                if (strcmp(managed[i].name, name) == 0)
                        return &managed[i];
        for (size_t i = 0; i < n_managed; i++)
                if (managed[i].chardev[0] != '\0' && strcmp(managed[i].chardev, name) == 0)
                        return &managed[i];
        return NULL;
}

static int managed_init(Managed *managed, const DeviceConfig *section, const Managed *before)
{
        char *name;

        name = strdup(section->name);
        if (!name)
                return -ENOMEM;

        if (before)
                *managed = *before;
        else
                set_absent(managed);
        managed->name = name;

        /* What was verified was another zone. */
        if (before && before->zone != section->zone) {
                managed->verified = false;
                retry_reset(managed);
        }
        managed->online = section->online;
        managed->zone = section->zone;
        managed->offline_on_stop = section->offline_on_stop;
        return 0;
}

int managed_build(const Config *config, const Managed *old, size_t n_old, Managed **ret_managed,
                  size_t *ret_n_managed)
{
        Managed *managed;
        int r;

        managed = calloc(config->n_devices + 1, sizeof(*managed));
        if (!managed)
                return -ENOMEM;

        for (size_t i = 0; i < config->n_devices; i++) {
                const Managed *before = NULL;

                for (size_t k = 0; k < n_old; k++)
                        if (strcmp(old[k].name, config->devices[i].name) == 0)
                                before = &old[k];

                r = managed_init(&managed[i], &config->devices[i], before);
                if (r < 0) {
                        managed_free(managed, i);
                        return r;
                }
        }

        *ret_managed = managed;
        *ret_n_managed = config->n_devices;
        return 0;
}

static bool is_as_wanted(const Managed *managed, const Device *device)
{
        if (device->mode != DEVICE_MODE_SYSTEM_RAM || device->total_memblocks == 0 ||
            device->online_memblocks != device->total_memblocks)
                return false;
        return device->movable_memblocks ==
               (managed->zone == ZONE_MOVABLE ? device->total_memblocks : 0);
}

static void set_present(Managed *managed, const Device *device)
{
        bool is_new = strcmp(managed->chardev, device->chardev) != 0;

        snprintf(managed->chardev, sizeof(managed->chardev), "%s", device->chardev);
        managed->online_memblocks = device->online_memblocks;
        managed->total_memblocks = device->total_memblocks;
        managed->target_node = device->target_node;
        if (managed->busy)
                return;

        if (is_new) {
                managed->verified = false;
                retry_reset(managed);
        }
        if (!managed->online) {
                managed->state = MANAGED_IDLE;
                reason_set(managed, "Online=no");
        } else if (managed->held) {
                if (device->mode != DEVICE_MODE_SYSTEM_RAM) {
                        managed->state = MANAGED_OFFLINE;
                        reason_set(managed, "offline on request");
                }
        } else if (!is_as_wanted(managed, device)) {
                /* Somebody took it away, or it was never there: wanted, unless we are waiting. */
                managed->verified = false;
                if (managed->state == MANAGED_ONLINE || managed->state == MANAGED_ABSENT ||
                    managed->state == MANAGED_IDLE) {
                        managed->state = MANAGED_FAILED;
                        reason_set(managed, "not online");
                }
        }
}

/* Whether a section before this one names the same device: the first one rules. */
static const Managed *named_before(const Managed *managed, size_t position, const char *chardev)
{
        for (size_t i = 0; i < position; i++)
                if (strcmp(managed[i].chardev, chardev) == 0)
                        return &managed[i];
        return NULL;
}

static void set_ambiguous(Managed *managed, const char *why, const char *which)
{
        set_absent(managed);
        managed->state = MANAGED_FAILED;
        reason_set(managed, why, which);
}

void managed_update(Managed *managed, size_t n_managed, const Device *devices, size_t n_devices)
{
        for (size_t i = 0; i < n_managed; i++) {
                const Device *device = NULL;
                const Managed *before;
                unsigned matches = 0;

                for (size_t k = 0; k < n_devices; k++)
                        if (device_is_named(&devices[k], managed[i].name)) {
                                device = &devices[k];
                                matches++;
                        }

                if (matches == 0) {
                        if (!managed[i].busy)
                                set_absent(&managed[i]);
                        continue;
                }
                if (matches > 1) {
                        set_ambiguous(&managed[i], "names several devices, %s among them",
                                      device->chardev);
                        continue;
                }
                before = named_before(managed, i, device->chardev);
                if (before) {
                        set_ambiguous(&managed[i], "already named by [Device %s]", before->name);
                        continue;
                }
                set_present(&managed[i], device);
        }
}

ManagedWish managed_wish(const Managed *managed, uint64_t now_usec, uint64_t *ret_ask_again_usec)
{
        ManagedWish wish = MANAGED_WISH_ONLINE;

        *ret_ask_again_usec = UINT64_MAX;
        if (managed->chardev[0] == '\0' || managed->busy || !managed->online)
                return MANAGED_WISH_NOTHING;

        if (managed->held) {
                if (managed->state == MANAGED_OFFLINE)
                        return MANAGED_WISH_NOTHING;
                wish = MANAGED_WISH_OFFLINE;
        } else if (managed->verified) {
                return MANAGED_WISH_NOTHING;
        }

        if (managed->retry_at_usec > now_usec) {
                *ret_ask_again_usec = managed->retry_at_usec;
                return MANAGED_WISH_NOTHING;
        }
        return wish;
}

void managed_job_queued(Managed *managed, JobKind kind)
{
        managed->busy = true;
        if (managed->n_failures == 0)
                managed->state = kind == JOB_ONLINE ? MANAGED_ONLINING : MANAGED_OFFLINING;
}

uint64_t managed_backoff(unsigned n_failures)
{
        unsigned doublings = n_failures > 0 ? n_failures - 1 : 0;

        return doublings < 6 ? USEC_PER_SEC << doublings : BACKOFF_MAX_SEC * USEC_PER_SEC;
}

static void set_failed(Managed *managed, const Job *job)
{
        const OnlineStep *step = job_failed_step(job);
        size_t n_failed = 0;

        for (size_t i = 0; i < job->n_steps; i++) {
                if (job->steps[i].result != ONLINE_FAILED)
                        continue;
                /* The first says more than the summary in the end. */
                if (n_failed++ == 0)
                        step = &job->steps[i];
        }

        managed->state = job->result == -EUCLEAN ? MANAGED_PARTIAL : MANAGED_FAILED;
        if (!step)
                reason_set(managed, "%s: %s", job->kind == JOB_ONLINE ? "online" : "offline",
                           strerror(-job->result));
        else if (n_failed > 2)
                reason_set(managed, "%s: %s: %s; and %zu more", step->object, step->action,
                           strerror(-step->error), n_failed - 1);
        else
                reason_set(managed, "%s: %s: %s", step->object, step->action,
                           strerror(-step->error));
}

void managed_job_done(Managed *managed, const Job *job, uint64_t now_usec)
{
        managed->busy = false;
        if (job->result < 0) {
                set_failed(managed, job);
                managed->verified = false;
                managed->n_failures++;
                managed->retry_at_usec = now_usec + managed_backoff(managed->n_failures);
                return;
        }

        retry_reset(managed);
        managed->reason[0] = '\0';
        managed->verified = job->kind == JOB_ONLINE;
        if (job->kind == JOB_ONLINE) {
                managed->state = MANAGED_ONLINE;
                /* Should somebody take it away at once, again and again, we do not race him. */
                managed->retry_at_usec = now_usec + managed_backoff(1);
        } else {
                managed->state = MANAGED_OFFLINE;
                reason_set(managed, "offline on request");
        }
}

void managed_release(Managed *managed)
{
        managed->held = false;
        managed->verified = false;
        retry_reset(managed);
}

void managed_hold(Managed *managed)
{
        managed->held = true;
        managed->verified = false;
        retry_reset(managed);
}
