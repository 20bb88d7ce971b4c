/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/log.h"
#include "daemon/manager.h"
#include "policy/macro.h"

/* Says once that a device has gone, or that one is awaited. */
static void log_presence(const Managed *managed, bool was_there, bool is_first)
{
        bool is_there = managed->chardev[0] != '\0';

        if (!is_there && (was_there || is_first))
                log_event(LOG_NOTICE, LOG_ID_ABSENT, managed->name, 0,
                          "%s: %s; `daxtier devices` lists what is", managed->name,
                          was_there ? "has gone" : "not present, waiting for it");
        if (is_there && !was_there && !is_first)
                log_event(LOG_INFO, NULL, managed->name, 0, "%s: has come", managed->name);
}

static int devices_look(Manager *manager)
{
        _cleanup_(freep) bool *was_there = NULL;
        Device *devices = NULL;
        size_t n_devices = 0;
        int r;

        was_there = calloc(manager->n_managed + 1, sizeof(*was_there));
        if (!was_there)
                return -ENOMEM;

        r = devices_read(&devices, &n_devices);
        if (r < 0 && r != -EOPNOTSUPP) { /* no dax bus is no device, until its module comes */
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot read the dax devices: %s",
                          strerror(-r));
                return r;
        }

        for (size_t i = 0; i < manager->n_managed; i++)
                was_there[i] = manager->managed[i].chardev[0] != '\0';
        managed_update(manager->managed, manager->n_managed, devices, n_devices);
        devices_free(devices, n_devices);

        for (size_t i = 0; i < manager->n_managed; i++)
                log_presence(&manager->managed[i], was_there[i], !manager->published);
        return 0;
}

static bool perf_equal(const NodePerf *a, const NodePerf *b)
{
        return a->read_latency_ns == b->read_latency_ns &&
               a->write_latency_ns == b->write_latency_ns &&
               a->read_bandwidth_mib == b->read_bandwidth_mib &&
               a->write_bandwidth_mib == b->write_bandwidth_mib;
}

/* Whether what is published is the same: the tiers' nodes and numbers, not the free bytes. */
static bool topology_equal(const Topology *a, const Topology *b)
{
        if (!nodeset_equal(&a->tiers.cheap, &b->tiers.cheap) ||
            !nodeset_equal(&a->tiers.fast, &b->tiers.fast) || a->n_nodes != b->n_nodes)
                return false;
        for (size_t i = 0; i < a->n_nodes; i++)
                if (a->nodes[i].id != b->nodes[i].id ||
                    !perf_equal(&a->nodes[i].perf, &b->nodes[i].perf))
                        return false;
        return true;
}

static void log_tiers(const Tiers *tiers)
{
        char cheap[NODESET_TEXT_MAX], fast[NODESET_TEXT_MAX];

        if (nodeset_format(&tiers->cheap, cheap, sizeof(cheap)) >= 0 &&
            nodeset_format(&tiers->fast, fast, sizeof(fast)) >= 0)
                log_event(LOG_INFO, LOG_ID_TIERS, NULL, 0,
                          "Tiers: cheap is node %s, fast is node %s",
                          cheap[0] != '\0' ? cheap : "(none)", fast[0] != '\0' ? fast : "(none)");
}

/* A new snapshot beside the old one, published and swapped in. */
static int topology_look(Manager *manager)
{
        Topology topology;
        int r;

        r = topology_read(&manager->config, &topology);
        if (r < 0) {
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot read the NUMA nodes: %s",
                          strerror(-r));
                return r;
        }

        if (!manager->published || !topology_equal(&manager->topology, &topology)) {
                r = topology_publish(&topology, manager->tiers_path);
                if (r < 0)
                        log_event(LOG_ERR, NULL, NULL, r, "Cannot write %s: %s",
                                  manager->tiers_path, strerror(-r));
                else
                        log_tiers(&topology.tiers);
                manager->published = r >= 0;
        }

        topology_deinit(&manager->topology);
        manager->topology = topology;
        placement_set_tiers(manager->placement, &topology.tiers);
        return 0;
}

static int device_wish(Manager *manager, const Managed *managed, ManagedWish wish)
{
        Job *job;
        int r;

        r = job_new(wish == MANAGED_WISH_ONLINE ? JOB_ONLINE : JOB_OFFLINE, managed->name,
                    managed->zone, false, &job);
        if (r < 0)
                return r;
        return manager_job_queue(manager, job);
}

/* Queues what each device wants now. Returns when to look again at the latest. */
static uint64_t wishes_queue(Manager *manager, uint64_t now)
{
        uint64_t next = now + manager->config.reconcile_usec;

        for (size_t i = 0; i < manager->n_managed; i++) {
                uint64_t ask_again;
                ManagedWish wish;

                wish = managed_wish(&manager->managed[i], now, &ask_again);
                if (wish != MANAGED_WISH_NOTHING)
                        device_wish(manager, &manager->managed[i], wish);
                else if (ask_again < next)
                        next = ask_again;
        }

        return next;
}

/* What cannot be read now is read next time: only the event loop's own failures are returned. */
int manager_reconcile(Manager *manager)
{
        uint64_t now, next;
        int r;

        r = sd_event_now(manager->event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;

        if (devices_look(manager) >= 0 && !manager->stopping && !manager->dry_run)
                next = wishes_queue(manager, now);
        else
                next = now + manager->config.reconcile_usec;
        topology_look(manager);
        manager_announce(manager);

        if (!manager->reconcile_timer)
                return 0;
        r = sd_event_source_set_time(manager->reconcile_timer, next);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->reconcile_timer, SD_EVENT_ONESHOT);
        return r;
}
