/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"

#define CGROUP_ROOT  "fs/cgroup"
#define CGROUP_BYTES 65536u

/* Containers and slices stand near the root; what is deeper is theirs. */
#define WALK_DEPTH_MAX   4u
#define WALK_CGROUPS_MAX 4096u
#define FINDINGS_MAX     16u

typedef struct Walk {
        const NodeSet *cheap;
        Findings *findings;
        unsigned n_cgroups;
} Walk;

/* The nodes that a cgroup's processes may use. -ENOENT: no cpuset controller here. */
static int cpuset_read(int cgroup_fd, NodeSet *ret_nodes)
{
        char text[NODESET_TEXT_MAX];
        int r = attr_read(cgroup_fd, "cpuset.mems.effective", text, sizeof(text));

        return r < 0 ? r : nodeset_parse(text, ret_nodes);
}

static bool lacks(const NodeSet *nodes, const NodeSet *wanted)
{
        for (int n = nodeset_next(wanted, 0); n >= 0; n = nodeset_next(wanted, (unsigned)n + 1))
                if (!nodeset_has(nodes, (unsigned)n))
                        return true;
        return false;
}

static int cgroup_judge(Walk *walk, const char *path, const NodeSet *nodes, Verdict verdict)
{
        char text[NODESET_TEXT_MAX], wanted[NODESET_TEXT_MAX];
        _cleanup_(freep) char *file = NULL, *quoted = NULL, *mend = NULL;
        NodeSet all = *nodes;
        int r;

        nodeset_union(&all, walk->cheap);
        r = nodeset_format(nodes, text, sizeof(text));
        if (r < 0)
                return r;
        r = nodeset_format(&all, wanted, sizeof(wanted));
        if (r < 0)
                return r;

        file = text_format("/sys/" CGROUP_ROOT "%s/cpuset.mems", path);
        quoted = file ? text_quote(file) : NULL;
        mend = quoted ? text_format("echo %s >%s", wanted, quoted) : NULL;
        if (!mend)
                return -ENOMEM;
        return findings_add(walk->findings, verdict, mend,
                            "the cpuset of %s allows node %s only: its processes cannot use the "
                            "cheap tier, whatever their policy",
                            path, text);
}

/* Reports the topmost cgroups that lack a cheap node: all below them lack it, too. */
static int cgroups_walk(Walk *walk, int dir_fd, const char *path, unsigned depth)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        int r = directory_open(dir_fd, ".", &dir);

        if (r < 0)
                return r;

        while ((entry = readdir(dir)) && walk->n_cgroups < WALK_CGROUPS_MAX &&
               walk->findings->n_items < FINDINGS_MAX) {
                _cleanup_(freep) char *child_path = NULL;
                _cleanup_(closep) int child = -1;
                NodeSet nodes;

                if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
                        continue;
                child = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (child < 0)
                        continue; /* it has just ended */
                walk->n_cgroups++;
                child_path = text_format("%s/%s", path, entry->d_name);
                if (!child_path)
                        return -ENOMEM;

                r = cpuset_read(child, &nodes);
                if (r >= 0 && lacks(&nodes, walk->cheap))
                        r = cgroup_judge(walk, child_path, &nodes, VERDICT_WARN);
                else if (r >= 0 && depth < WALK_DEPTH_MAX)
                        r = cgroups_walk(walk, child, child_path, depth + 1);
                if (r == -ENOMEM)
                        return r;
        }
        return 0;
}

/* Path below the cgroup2 root of the caller: the line "0::/path". */
static int own_cgroup(int proc_fd, char **ret_path)
{
        _cleanup_(freep) char *text = NULL;
        char *line;
        size_t size;
        int r = attr_read_all(proc_fd, "self/cgroup", CGROUP_BYTES, &text, &size);

        if (r < 0)
                return r;

        line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
        if (!line)
                return -ENOENT;
        line = strchr(line, '/');
        if (!line || strncmp(line, "/..", 3) == 0)
                return -ENOENT; /* above the root of our cgroup namespace */
        line[strcspn(line, "\n")] = '\0';

        memmove(text, line, strlen(line) + 1);
        *ret_path = TAKE_PTR(text);
        return 0;
}

/* What applies to us is the nearest ancestor that has the controller. */
static int probe_own(Walk *walk, const Patient *patient, int root_fd)
{
        _cleanup_(freep) char *path = NULL;
        int r = own_cgroup(patient->proc_fd, &path);

        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (;;) {
                _cleanup_(closep) int fd = -1;
                NodeSet nodes;

                fd = openat(root_fd, path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0 && cpuset_read(fd, &nodes) >= 0)
                        return lacks(&nodes, walk->cheap)
                                       ? cgroup_judge(walk, path, &nodes, VERDICT_FAIL)
                                       : 0;
                if (!path[0] || !path[1])
                        return 0;
                *strrchr(path, '/') = '\0';
                if (!path[0])
                        memcpy(path, "/", 2);
        }
}

int probe_cpuset(const Check *check, const Patient *patient, Findings *findings)
{
        _cleanup_(closep) int root_fd =
                openat(patient->sys_fd, CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Walk walk = { .cheap = &patient->host->topology.tiers.cheap, .findings = findings };
        int r;

        if (nodeset_is_empty(walk.cheap))
                return findings_add(findings, VERDICT_OK, NULL,
                                    "there is no cheap node for a cpuset to leave out");
        if (root_fd < 0)
                return -errno;

        r = probe_own(&walk, patient, root_fd);
        if (r < 0)
                return r;
        r = cgroups_walk(&walk, root_fd, "", 1);
        if (r < 0)
                return r;

        if (findings->n_items == 0)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "every cgroup's cpuset allows the cheap tier");
        return 0;
}
