/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Control groups of the unified hierarchy (version 2), below a directory fd of its root. Paths are
 * as /proc/PID/cgroup has them: absolute, "/" is the root, no slash at the end. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/nodeset.h"

/* How deep below its starting point cgroup_walk() goes: each level costs it a descriptor, and those
 * who were given a subtree may nest at will. */
#define CGROUP_DEPTH_MAX 64u

/* More cgroups than this are not walked. */
#define CGROUP_WALK_MAX 262144u

/* More processes than the kernel has pids (PID_MAX_LIMIT). */
#define CGROUP_PROCESSES_MAX 4194304u

/* @cgroup_fd: the cgroup's directory, closed by cgroup_walk(). > 0: go on below it; 0: do not;
 * < 0: stop everything, with this result. */
typedef int (*cgroup_walk_fn)(int cgroup_fd, const char *path, void *userdata);

/* The root of the unified hierarchy: /sys/fs/cgroup, or /sys/fs/cgroup/unified beside version 1.
 * -EOPNOTSUPP: none is mounted there. */
int cgroup_root_open(int *ret_fd);

/* -ENOENT: there is no such cgroup. -EINVAL: not an absolute path, or one with "..". */
int cgroup_open(int root_fd, const char *path, int *ret_fd);

/* The cgroup of a process. One that was removed while the process (a zombie) was in it is given as it was
 * named. -ESRCH as in process.h; -ENODATA: the kernel has no unified hierarchy. */
int cgroup_of_process(int process_fd, char **ret_path);

/* Calls @fn for @path and what is below it, parents first. A cgroup that vanishes meanwhile is
 * skipped, be it @path itself; one more than CGROUP_DEPTH_MAX levels below @path is, too. -E2BIG: more
 * than CGROUP_WALK_MAX. */
int cgroup_walk(int root_fd, const char *path, cgroup_walk_fn fn, void *userdata);

/* The processes of this very cgroup, in no order, some perhaps twice; none in a threaded cgroup,
 * whose processes are listed by the domain cgroup above it. Those of pid namespaces that we do not see
 * into are left out. *ret_pids is the caller's to free, NULL if there are none. -ENOENT: the cgroup
 * is gone; -E2BIG: more than CGROUP_PROCESSES_MAX. */
int cgroup_processes(int cgroup_fd, pid_t **ret_pids, size_t *ret_n_pids);

/* The nodes that the cgroup may take memory from: cpuset.mems.effective of @path or, if it is not
 * there, of the nearest cgroup above. -ENODATA: nobody has it, all nodes are allowed. */
int cgroup_allowed_nodes(int root_fd, const char *path, NodeSet *ret_nodes);

/* The nodes of @candidates with CPUs that the cgroup's cpuset lets it run on. -ENODATA, -ENOENT as
 * above. */
int cgroup_home_nodes(int root_fd, int sys_fd, const char *path, const NodeSet *candidates,
                      NodeSet *ret_nodes);

/* The nearest cgroup at or above @path whose memory is accounted; the root is one if there is a
 * memory controller in this hierarchy. -EOPNOTSUPP: there is none. */
int cgroup_memory_path(int root_fd, const char *path, char **ret_path);

/* Bytes of anonymous memory, to which the copies of private mappings count, that this cgroup and
 * those below it have on the nodes: "anon" in memory.numa_stat. -EOPNOTSUPP: memory is not accounted
 * here (see cgroup_memory_path()); -ENOENT: the cgroup is gone. */
int cgroup_node_bytes(int root_fd, const char *path, const NodeSet *nodes, uint64_t *ret_bytes);

/* How many pages of it reclaim has looked at so far, to take some: "pgscan" in memory.stat. Errors as
 * above; -ENODATA: the kernel does not count them. */
int cgroup_scanned_pages(int root_fd, const char *path, uint64_t *ret_pages);
