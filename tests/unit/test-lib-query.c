/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib-fixture.h"
#include "policy/macro.h"

TestSuite(lib_query, .init = fixture_make, .fini = fixture_remove, .timeout = 60);

#define NOBODY 65534

static void infop(struct daxtier_info **info)
{
        daxtier_free(*info);
}

static struct daxtier_info *query(pid_t pid, const void *address)
{
        struct daxtier_info *info;
        int r = daxtier_query(handle, pid, address, &info);

        cr_assert_eq(r, 0, "%s", daxtier_strerror(r));
        cr_assert_eq(info->size, sizeof(*info));
        return info;
}

/* A mapping of its own, with guard pages so that no neighbour merges with it. */
static char *map_alone(size_t n_pages, int fd, int flags)
{
        char *guard =
                mmap(NULL, (n_pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *address;

        cr_assert_neq(guard, MAP_FAILED);
        address = mmap(guard + PAGE, n_pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
                       0);
        cr_assert_eq(address, guard + PAGE);
        /* Where huge pages are the rule, a page touched would be 512. */
        madvise(address, n_pages * PAGE, MADV_NOHUGEPAGE);
        return address;
}

Test(lib_query, a_page_cache_file_in_part_copied)
{
        _cleanup_(infop) struct daxtier_info *info = NULL;
        char *address = fixture_map(8);

        for (unsigned i = 0; i < 3; i++)
                address[2 * i * PAGE] = 'x';
        cr_assert_eq(*(volatile char *)(address + PAGE), 1, "only read: no copy");

        info = query(0, address + 5 * PAGE + 123);
        cr_assert_eq(info->start, (uint64_t)(uintptr_t)address);
        cr_assert_eq(info->end, info->start + 8 * PAGE);
        cr_assert_str_eq(info->file, fixture_file);
        cr_assert_eq(info->kind, DAXTIER_KIND_PAGE_CACHE);
        cr_assert_eq(info->shared, 0);
        cr_assert_eq(info->sync, 0);
        cr_assert_eq(info->backing_node, -1);
        cr_assert_str_eq(info->policy_nodes, "0");
        cr_assert_eq(info->page_cache_bytes, 8 * PAGE);
        cr_assert_eq(info->cow_bytes, 3 * PAGE);
        cr_assert_eq(info->cow_cheap_bytes, 3 * PAGE);
        cr_assert_eq(info->cow_fast_bytes, 0);
}

Test(lib_query, cached_bytes_are_those_of_the_mapped_range)
{
        _cleanup_(infop) struct daxtier_info *half = NULL, *none = NULL;
        char *address = fixture_map(8);

        cr_assert_eq(fsync(fixture_fd), 0);
        cr_assert_eq(
                posix_fadvise(fixture_fd, 4 * (off_t)PAGE, 12 * (off_t)PAGE, POSIX_FADV_DONTNEED),
                0);
        half = query(0, address);
        cr_assert_eq(half->page_cache_bytes, 4 * PAGE);

        cr_assert_eq(posix_fadvise(fixture_fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        none = query(0, address);
        cr_assert_eq(none->page_cache_bytes, 0);
}

Test(lib_query, a_shared_mapping)
{
        _cleanup_(infop) struct daxtier_info *info = NULL;
        char *address = map_alone(4, fixture_fd, MAP_SHARED);

        address[0] = 'x';
        info = query(0, address);
        cr_assert_eq(info->kind, DAXTIER_KIND_PAGE_CACHE);
        cr_assert_eq(info->shared, 1);
        cr_assert_eq(info->cow_bytes, 0);
        cr_assert_null(info->policy_nodes);
}

Test(lib_query, anonymous_memory)
{
        _cleanup_(infop) struct daxtier_info *info = NULL;
        char *address = map_alone(8, -1, MAP_PRIVATE | MAP_ANONYMOUS);

        fixture_publish("");
        memset(address, 1, 5 * (size_t)PAGE);
        info = query(0, address);
        cr_assert_null(info->file);
        cr_assert_eq(info->kind, DAXTIER_KIND_ANON);
        cr_assert_eq(info->backing_node, -1);
        cr_assert_eq(info->page_cache_bytes, 0);
        cr_assert_eq(info->cow_bytes, 5 * PAGE);
        cr_assert_eq(info->cow_cheap_bytes, 0);
        cr_assert_null(info->policy_nodes);
        cr_assert_eq(info->end - info->start, 8 * PAGE);
}

Test(lib_query, a_mapping_with_its_own_policy)
{
        _cleanup_(infop) struct daxtier_info *placed = NULL, *reset = NULL;
        char *address = map_alone(2, -1, MAP_PRIVATE | MAP_ANONYMOUS);

        cr_assert_eq(daxtier_place(handle, address, 2 * PAGE, "node:0", 0), 0);
        placed = query(0, address);
        cr_assert_str_eq(placed->policy_nodes, "0");

        cr_assert_eq(daxtier_place(handle, address, 2 * PAGE, "default", 0), 0);
        reset = query(0, address);
        cr_assert_null(reset->policy_nodes);
}

/* A machine whose HMAT knows its node 0. */
static const char hmat_tree[] =
        "set -e; cd '%s'; n=devices/system/node; mkdir -p $n/node0/access1/initiators;"
        "for l in online has_cpu has_memory; do echo 0 >$n/$l; done;"
        "printf 'Node 0 MemTotal: 1024 kB\\nNode 0 MemFree: 512 kB\\n' >$n/node0/meminfo;"
        "cd $n/node0/access1/initiators; echo 123 >read_latency; echo 234 >write_latency;"
        "echo 3456 >read_bandwidth; echo 4567 >write_bandwidth";

static void run(const char *format, const char *path)
{
        char command[2048];

        snprintf(command, sizeof(command), format, path);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

Test(lib_query, performance_is_that_of_the_node_that_holds_the_pages)
{
        _cleanup_(infop) struct daxtier_info *empty = NULL, *touched = NULL;
        char *address = map_alone(4, -1, MAP_PRIVATE | MAP_ANONYMOUS);
        char tree[] = "/tmp/daxtier-hmat-XXXXXX";
        daxtier *fixed = handle;

        cr_assert_not_null(mkdtemp(tree));
        run(hmat_tree, tree);
        cr_assert_eq(handle_new(tree, fixture_published, &handle), 0);

        empty = query(0, address);
        cr_assert_eq(empty->perf_source, DAXTIER_PERF_UNKNOWN, "on no node yet");
        cr_assert_eq(empty->read_latency_ns, -1);

        address[0] = 1;
        touched = query(0, address);
        cr_assert_eq(touched->perf_source, DAXTIER_PERF_HMAT);
        cr_assert_eq(touched->read_latency_ns, 123);
        cr_assert_eq(touched->write_latency_ns, 234);
        cr_assert_eq(touched->read_bandwidth_mib, 3456);
        cr_assert_eq(touched->write_bandwidth_mib, 4567);

        daxtier_close(handle);
        handle = fixed;
        run("rm -r '%s'", tree);
}

Test(lib_query, another_process)
{
        _cleanup_(infop) struct daxtier_info *info = NULL;
        char *address = map_alone(4, fixture_fd, MAP_PRIVATE);
        int ready[2];
        char byte;
        pid_t pid;

        cr_assert_eq(pipe(ready), 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                address[0] = address[PAGE] = 'x';
                if (write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        cr_assert_eq(read(ready[0], &byte, 1), 1);

        info = query(pid, address);
        cr_assert_eq(info->cow_bytes, 2 * PAGE);
        cr_assert_str_eq(info->file, fixture_file);

        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        infop(&info);
        info = (void *)-1;
        cr_assert_eq(daxtier_query(handle, pid, address, &info), -ESRCH);
        cr_assert_eq(info, (void *)-1, "untouched on failure");
        info = NULL;
}

Test(lib_query, nothing_mapped_there)
{
        struct daxtier_info *info;
        char *address = map_alone(1, -1, MAP_PRIVATE | MAP_ANONYMOUS);

        cr_assert_eq(munmap(address, PAGE), 0);
        cr_assert_eq(daxtier_query(handle, 0, address, &info), -EFAULT);
        cr_assert_eq(daxtier_query(handle, 0, NULL, &info), -EFAULT);
        cr_assert_eq(daxtier_query(handle, 0, (void *)UINTPTR_MAX, &info), -EFAULT);
}

Test(lib_query, another_users_process_is_denied)
{
        struct daxtier_info *info;
        pid_t pid;
        int status;

        if (geteuid() != 0)
                cr_skip_test("needs root, to become somebody else");

        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        _exit(1);
                _exit(daxtier_query(handle, getppid(), handle, &info) == -EACCES ? 0 : 2);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
}

/* What a stranger may not know of a file stays unknown: the kernel answers neither cachestat() nor
 * mincore() honestly for a file that one may only read. */
Test(lib_query, cached_bytes_of_a_file_that_is_not_ours_are_unknown)
{
        pid_t pid;
        int status;

        if (geteuid() != 0)
                cr_skip_test("needs root, to become somebody else");
        cr_assert_eq(chmod(fixture_dir, 0755), 0);
        cr_assert_eq(chmod(fixture_file, 0644), 0);

        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                struct daxtier_info *info;
                void *address;
                int fd;

                if (setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
                        _exit(1);
                fd = open(fixture_file, O_RDONLY | O_CLOEXEC);
                address = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
                if (address == MAP_FAILED || daxtier_query(handle, 0, address, &info) < 0)
                        _exit(2);
                _exit(info->kind == DAXTIER_KIND_PAGE_CACHE && info->page_cache_bytes == -1 ? 0
                                                                                            : 3);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(WEXITSTATUS(status), 0);
}
