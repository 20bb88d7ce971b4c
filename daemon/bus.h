/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names on the bus: shared by the service, which offers them on the system bus and on its own
 * socket, and by the command, which uses the socket. */
#define BUS_SOCKET_PATH "/run/daxtierd/bus"
#define BUS_NAME        "org.daxtier1"
#define BUS_PATH        "/org/daxtier1"
#define BUS_INTERFACE   "org.daxtier1.Manager"

/* Properties (read-only, everybody):
 *   Version   s
 *   State     s        "starting", "waiting" (a named device is absent), "running", "degraded"
 *   Status    s        the sentence that systemctl shows
 *   Problems  a(ss)    what is wrong, and the command or edit that mends it
 *   Devices   aa{sv}   one per [Device] section: name, chardev, state, reason (s);
 *                      online_memblocks, total_memblocks (u); target_node (i)
 *   Tiers     aa{sv}   name, nodes (s, list format); read_latency_ns, write_latency_ns,
 *                      read_bandwidth_mib, write_bandwidth_mib (x; -1 unknown); perf_source (s)
 *   Totals    a{st}    processes and mappings under policy, mappings by state, copies as last seen
 *                      (cow_bytes, cow_cheap_bytes, cow_fast_bytes), moved_bytes. No signals.
 * Methods for everybody:
 *   List(s cgroup, u pid, s file, u after) -> (aa{sv} mappings, u next)
 *            What is under policy, by pid; to other users than root their own only. "" and 0: any;
 *            cgroup: this one and all below; file: an fnmatch() pattern. Has just been looked at.
 *            Pages: call again with after=next until next is 0. Keys: pid (u), comm, cgroup, file
 *            (absent: none), policy_file, tier, state, reason (s), start, end, cow_bytes,
 *            cow_cheap_bytes, cow_fast_bytes (t), dax (b)
 *   Policies() -> (aa{sv} policies, a(ssu) cgroups)
 *            In the order in which they are tried: file, the keys of the file ("cow.tier", ..., s, "":
 *            not set; sizes in bytes, times in us), n_cgroups, n_processes (u); then cgroups by
 *            path, the policy's file, how many processes
 *   Metrics() -> s                            OpenMetrics text
 * Methods for root:
 *   Online(s device, b dry_run)  -> a(sssi)   object, action, result, -errno: an OnlineStep each
 *   Offline(s device, b dry_run) -> a(sssi)
 *   Reload()                     -> ()        as systemctl reload; error carries file:line
 * A method that failed at some step still returns its steps; the last one says why. Errors before
 * the first step come as org.daxtier1.Error.* (BUS_ERROR_*). */
#define BUS_ERROR_NO_DEVICE   "org.daxtier1.Error.NoSuchDevice"
#define BUS_ERROR_BUSY        "org.daxtier1.Error.DeviceBusy"
#define BUS_ERROR_CONFIG      "org.daxtier1.Error.Configuration"
#define BUS_ERROR_IN_PROGRESS "org.daxtier1.Error.InProgress"
