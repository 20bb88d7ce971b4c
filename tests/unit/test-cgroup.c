/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/kernel/cgroup.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

static void tree_make(const Scratch *scratch, const char *path)
{
        cr_assert_eq(mkdirat(scratch->fd, path, 0755), 0, "%s: %m", path);
}

static void tree_write(const Scratch *scratch, const char *path, const char *text)
{
        scratch_write(scratch, path, text, strlen(text));
}

static void assert_cgroup_of(const Scratch *scratch, const char *text, int result, const char *path)
{
        _cleanup_(freep) char *found = NULL;

        tree_write(scratch, "stat", "");
        tree_write(scratch, "cgroup", text);
        cr_assert_eq(cgroup_of_process(scratch->fd, &found), result, "%s", text);
        if (result == 0)
                cr_assert_str_eq(found, path);
        else
                cr_assert_null(found);
}

Test(cgroup, of_a_process_is_the_unified_line)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        assert_cgroup_of(&scratch, "0::/\n", 0, "/");
        assert_cgroup_of(&scratch, "0::/a/b:c 0::/d\n", 0, "/a/b:c 0::/d");
        assert_cgroup_of(&scratch, "4:memory:/m\n10::/x\n1:name=systemd:/s\n0::/a\n", 0, "/a");
        assert_cgroup_of(&scratch, "0::/a/b (deleted)\n", 0, "/a/b");
        assert_cgroup_of(&scratch, "0::/../beside\n", 0, "/../beside");
        assert_cgroup_of(&scratch, "4:memory:/m\n", -ENODATA, NULL);
        assert_cgroup_of(&scratch, "", -ENODATA, NULL);
}

Test(cgroup, of_a_process_that_is_gone)
{
        Child child = child_new(NULL, NULL);
        char *path = NULL;

        child_end(&child);
        child_reap(&child);
        cr_assert_eq(cgroup_of_process(child.process_fd, &path), -ESRCH);
        cr_assert_null(path);
        close(child.process_fd);
}

struct Seen {
        char text[512];
        const char *not_below;
        const char *stop_at;
        int scratch_fd;
        unsigned n;
};

static int on_cgroup(int cgroup_fd, const char *path, void *userdata)
{
        struct Seen *seen = userdata;
        struct stat by_fd, by_path;

        cr_assert_eq(fstat(cgroup_fd, &by_fd), 0);
        cr_assert_eq(fstatat(seen->scratch_fd, path[1] ? path + 1 : ".", &by_path, 0), 0);
        cr_assert_eq(by_fd.st_ino, by_path.st_ino, "%s", path);

        seen->n++;
        if (strlen(seen->text) + strlen(path) + 2 < sizeof(seen->text)) {
                strcat(seen->text, path);
                strcat(seen->text, " ");
        }
        if (seen->stop_at && strcmp(path, seen->stop_at) == 0)
                return -ECANCELED;
        return !seen->not_below || strcmp(path, seen->not_below) != 0;
}

Test(cgroup, walk_visits_parents_first_and_only_below)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        struct Seen seen = { .scratch_fd = scratch.fd };

        tree_make(&scratch, "a");
        tree_make(&scratch, "a/b");
        tree_make(&scratch, "a/b/c");
        tree_make(&scratch, "ab");
        tree_write(&scratch, "a/cgroup.procs", "");
        cr_assert_eq(symlinkat("/", scratch.fd, "a/b/link"), 0);

        cr_assert_eq(cgroup_walk(scratch.fd, "/a", on_cgroup, &seen), 0);
        cr_assert_str_eq(seen.text, "/a /a/b /a/b/c ");

        seen = (struct Seen){ .scratch_fd = scratch.fd, .not_below = "/a" };
        cr_assert_eq(cgroup_walk(scratch.fd, "/", on_cgroup, &seen), 0);
        cr_assert(strcmp(seen.text, "/ /a /ab ") == 0 || strcmp(seen.text, "/ /ab /a ") == 0, "%s",
                  seen.text);

        seen = (struct Seen){ .scratch_fd = scratch.fd, .stop_at = "/a/b" };
        cr_assert_eq(cgroup_walk(scratch.fd, "/a", on_cgroup, &seen), -ECANCELED);
        cr_assert_str_eq(seen.text, "/a /a/b ");

        seen = (struct Seen){ .scratch_fd = scratch.fd };
        cr_assert_eq(cgroup_walk(scratch.fd, "/gone", on_cgroup, &seen), 0);
        cr_assert_eq(cgroup_walk(scratch.fd, "/a/../ab", on_cgroup, &seen), -EINVAL);
        cr_assert_eq(cgroup_walk(scratch.fd, "a", on_cgroup, &seen), -EINVAL);
        cr_assert_eq(seen.n, 0);
}

static int remove_next(int cgroup_fd, const char *path, void *userdata)
{
        const Scratch *scratch = userdata;

        unlinkat(scratch->fd, "a/b", AT_REMOVEDIR);
        unlinkat(scratch->fd, "a", AT_REMOVEDIR);
        return 1;
}

Test(cgroup, walk_does_not_mind_what_vanishes)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();

        tree_make(&scratch, "a");
        tree_make(&scratch, "a/b");
        cr_assert_eq(cgroup_walk(scratch.fd, "/a", remove_next, &scratch), 0);
        cr_assert_eq(cgroup_walk(scratch.fd, "/", remove_next, &scratch), 0);
}

static int count(int cgroup_fd, const char *path, void *userdata)
{
        ++*(unsigned *)userdata;
        return 1;
}

Test(cgroup, walk_goes_only_so_deep)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char path[4 * (CGROUP_DEPTH_MAX + 8)] = "d";
        unsigned n = 0;

        for (unsigned i = 0; i < CGROUP_DEPTH_MAX + 5; i++) {
                tree_make(&scratch, path);
                strcat(path, "/d");
        }
        cr_assert_eq(cgroup_walk(scratch.fd, "/", count, &n), 0);
        cr_assert_eq(n, CGROUP_DEPTH_MAX + 1);
}

Test(cgroup, processes_are_the_numbers)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 77;

        cr_assert_eq(cgroup_processes(scratch.fd, &pids, &n), -ENOENT);
        tree_write(&scratch, "cgroup.procs", "12\nx\n");
        cr_assert_eq(cgroup_processes(scratch.fd, &pids, &n), -EBADMSG);
        cr_assert_eq(n, 77);

        tree_write(&scratch, "cgroup.procs", "12\n0\n4194303\n7\n");
        cr_assert_eq(cgroup_processes(scratch.fd, &pids, &n), 0);
        cr_assert_eq(n, 3);
        cr_assert_eq(pids[0], 12);
        cr_assert_eq(pids[1], 4194303);
        cr_assert_eq(pids[2], 7);

        free(TAKE_PTR(pids));
        tree_write(&scratch, "cgroup.procs", "");
        cr_assert_eq(cgroup_processes(scratch.fd, &pids, &n), 0);
        cr_assert_eq(n, 0);
        cr_assert_null(pids);
}

Test(cgroup, allowed_nodes_come_from_the_nearest_that_has_them)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        NodeSet nodes = {};

        tree_make(&scratch, "a");
        tree_make(&scratch, "a/b");
        cr_assert_eq(cgroup_allowed_nodes(scratch.fd, "/a/b", &nodes), -ENODATA);

        tree_write(&scratch, "cpuset.mems.effective", "0-2\n");
        cr_assert_eq(cgroup_allowed_nodes(scratch.fd, "/a/b", &nodes), 0);
        cr_assert_eq(nodeset_count(&nodes), 3);

        tree_write(&scratch, "a/cpuset.mems.effective", "1\n");
        cr_assert_eq(cgroup_allowed_nodes(scratch.fd, "/a/b/gone", &nodes), 0);
        cr_assert_eq(nodeset_count(&nodes), 1);
        cr_assert(nodeset_has(&nodes, 1));
        cr_assert_eq(cgroup_allowed_nodes(scratch.fd, "/", &nodes), 0);
        cr_assert_eq(nodeset_count(&nodes), 3);
}

Test(cgroup, home_is_the_nodes_of_its_cpus)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int sys_fd = fixture_open("sys-sockets");
        NodeSet sockets = {}, nodes = {};

        nodeset_add(&sockets, 0);
        nodeset_add(&sockets, 1);
        tree_make(&scratch, "a");
        tree_make(&scratch, "a/b");
        cr_assert_eq(cgroup_home_nodes(scratch.fd, sys_fd, "/a/b", &sockets, &nodes), -ENODATA);

        tree_write(&scratch, "cpuset.cpus.effective", "0-15\n");
        cr_assert_eq(cgroup_home_nodes(scratch.fd, sys_fd, "/a/b", &sockets, &nodes), 0);
        cr_assert_eq(nodeset_count(&nodes), 2);

        tree_write(&scratch, "a/cpuset.cpus.effective", "4-5,12\n");
        cr_assert_eq(cgroup_home_nodes(scratch.fd, sys_fd, "/a/b", &sockets, &nodes), 0);
        cr_assert_eq(nodeset_count(&nodes), 1);
        cr_assert(nodeset_has(&nodes, 1));
}

static void assert_memory_path(const Scratch *scratch, const char *path, const char *expected)
{
        _cleanup_(freep) char *found = NULL;

        cr_assert_eq(cgroup_memory_path(scratch->fd, path, &found), 0);
        cr_assert_str_eq(found, expected);
}

Test(cgroup, memory_is_accounted_at_the_nearest_that_has_the_controller)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char *path = NULL;

        tree_make(&scratch, "a");
        tree_make(&scratch, "a/b");
        cr_assert_eq(cgroup_memory_path(scratch.fd, "/a/b", &path), -EOPNOTSUPP);
        cr_assert_null(path);

        tree_write(&scratch, "memory.stat", "");
        assert_memory_path(&scratch, "/a/b", "/");
        tree_write(&scratch, "a/memory.current", "0\n");
        assert_memory_path(&scratch, "/a/b/gone", "/a");
        assert_memory_path(&scratch, "/a/b", "/a");
        assert_memory_path(&scratch, "/a", "/a");
        assert_memory_path(&scratch, "/", "/");
}

Test(cgroup, node_bytes_are_those_of_anonymous_memory)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        uint64_t bytes = 77;
        NodeSet nodes = {};

        nodeset_add(&nodes, 1);
        nodeset_add(&nodes, 3);
        tree_make(&scratch, "a");
        cr_assert_eq(cgroup_node_bytes(scratch.fd, "/a", &nodes, &bytes), -EOPNOTSUPP);
        cr_assert_eq(cgroup_node_bytes(scratch.fd, "/gone", &nodes, &bytes), -ENOENT);

        tree_write(&scratch, "a/memory.numa_stat",
                   "file N0=1 N1=2 N2=3 N3=4\nanon N0=4096 N1=8192 N2=16384 N3=32768\n"
                   "anon_thp N0=0 N1=1 N2=0 N3=0\ninactive_anon N0=5 N1=5 N2=5 N3=5\n");
        cr_assert_eq(cgroup_node_bytes(scratch.fd, "/a", &nodes, &bytes), 0);
        cr_assert_eq(bytes, 8192 + 32768);

        tree_write(&scratch, "a/memory.numa_stat", "anon N0=x\n");
        cr_assert_eq(cgroup_node_bytes(scratch.fd, "/a", &nodes, &bytes), -EBADMSG);
        tree_write(&scratch, "a/memory.numa_stat", "file N0=1\n");
        cr_assert_eq(cgroup_node_bytes(scratch.fd, "/a", &nodes, &bytes), -EBADMSG);
        cr_assert_eq(bytes, 8192 + 32768);
}

struct Search {
        pid_t pid;
        char *path;
};

static int find_process(int cgroup_fd, const char *path, void *userdata)
{
        struct Search *search = userdata;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 0;

        /* Others come and go. */
        if (cgroup_processes(cgroup_fd, &pids, &n) == -ENOENT)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (pids[i] == search->pid) {
                        free(search->path);
                        search->path = strdup(path);
                }
        return 1;
}

/* What this machine says of us must be what its tree says. */
Test(cgroup, on_this_machine)
{
        _cleanup_(closep) int root_fd = -1, process_fd = own_process();
        _cleanup_(freep) char *path = NULL;
        struct Search search = { .pid = getpid() };
        int r;

        r = cgroup_root_open(&root_fd);
        if (r == -EOPNOTSUPP)
                cr_skip_test("no unified cgroup hierarchy is mounted here");
        cr_assert_eq(r, 0);
        cr_assert_eq(cgroup_of_process(process_fd, &path), 0);
        cr_assert_eq(cgroup_walk(root_fd, "/", find_process, &search), 0);
        cr_assert_not_null(search.path);
        cr_assert_str_eq(search.path, path);
        free(search.path);
}

static int group_new(int root_fd, const char *name)
{
        int fd;

        if (mkdirat(root_fd, name, 0755) < 0)
                cr_skip_test("cgroups cannot be made here: %s", strerror(errno));
        fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        return fd;
}

static void enter(void *data)
{
        int fd = openat(*(int *)data, "cgroup.procs", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, "0", 1) != 1)
                _exit(1);
}

Test(cgroup, of_the_kernel_threaded_and_gone)
{
        _cleanup_(closep) int root_fd = -1, fd = -1, threaded_fd = -1;
        _cleanup_(freep) pid_t *pids = NULL;
        _cleanup_(freep) char *path = NULL;
        char name[64], type[128], below[128];
        Child child;
        size_t n = 0;

        if (geteuid() != 0)
                cr_skip_test("only root makes cgroups");
        if (cgroup_root_open(&root_fd) < 0)
                cr_skip_test("no unified cgroup hierarchy is mounted here");
        unique_name(name, sizeof(name));
        fd = group_new(root_fd, name);
        threaded_fd = group_new(fd, "threaded");
        child = child_new(enter, &fd);
        cr_assert_eq(cgroup_of_process(child.process_fd, &path), 0);
        cr_assert_str_eq(path + 1, name);

        cr_assert_eq(cgroup_processes(fd, &pids, &n), 0);
        cr_assert_eq(n, 1);
        cr_assert_eq(pids[0], child.pid);
        free(TAKE_PTR(pids));

        snprintf(type, sizeof(type), "%s/threaded/cgroup.type", name);
        snprintf(below, sizeof(below), "%s/threaded", name);
        cr_assert_eq(faccessat(root_fd, type, W_OK, 0), 0);
        {
                _cleanup_(closep) int type_fd = openat(root_fd, type, O_WRONLY | O_CLOEXEC);

                cr_assert_eq(write(type_fd, "threaded", 8), 8);
        }
        cr_assert_eq(cgroup_processes(threaded_fd, &pids, &n), 0);
        cr_assert_eq(n, 0);
        cr_assert_eq(cgroup_processes(fd, &pids, &n), 0);
        cr_assert_eq(n, 1, "its domain has it");

        child_end(&child);
        child_freep(&child);
        while (unlinkat(root_fd, below, AT_REMOVEDIR) < 0)
                cr_assert_eq(errno, EBUSY);
        while (unlinkat(root_fd, name, AT_REMOVEDIR) < 0)
                cr_assert_eq(errno, EBUSY);
        free(TAKE_PTR(pids));
        cr_assert_eq(cgroup_processes(fd, &pids, &n), -ENOENT);
}
