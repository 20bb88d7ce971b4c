/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "lib-fixture.h"
#include "policy/macro.h"

TestSuite(lib, .init = fixture_make, .fini = fixture_remove, .timeout = 120);

static void *map_with(const struct daxtier_map_options *options)
{
        void *address;
        int r = daxtier_map(handle, fixture_fd, 0, PAGE, options, &address);

        cr_assert_eq(r, 0, "%s", daxtier_strerror(r));
        return address;
}

Test(lib, opens_on_this_machine)
{
        daxtier *here;

        cr_assert_eq(daxtier_open(&here), 0);
        daxtier_close(here);
        daxtier_close(NULL);
}

Test(lib, opens_without_sys_with_an_errno_of_its_own)
{
        daxtier *here = NULL;

        cr_assert_eq(handle_new("/nonexistent", fixture_published, &here), -ENOSYS);
        cr_assert_eq(handle_new(fixture_dir, fixture_published, &here), -ENOSYS);
        cr_assert_null(here);
}

Test(lib, map_prefers_the_cheap_tier_and_shows_the_file)
{
        char *address = fixture_map(FILE_PAGES);

        cr_assert_str_eq(own_policy(address), "prefer:0");
        for (unsigned i = 0; i < FILE_PAGES; i++)
                cr_assert_eq(address[i * PAGE + 17], (char)i);
}

Test(lib, writes_to_a_mapping_never_reach_the_file)
{
        char *address = fixture_map(FILE_PAGES), byte;

        memset(address, 'x', FILE_PAGES * (size_t)PAGE);
        cr_assert_eq(pread(fixture_fd, &byte, 1, 3 * PAGE), 1);
        cr_assert_eq(byte, 3);
}

Test(lib, map_takes_each_kind_of_tier)
{
        struct daxtier_map_options options = { .size = sizeof(options) };

        options.tier = "node:0";
        cr_assert_str_eq(own_policy(map_with(&options)), "prefer:0");
        options.tier = "default";
        cr_assert_str_eq(own_policy(map_with(&options)), "default");
        options.tier = "cheap";
        options.flags = DAXTIER_STRICT;
        cr_assert_str_eq(own_policy(map_with(&options)), "bind:0");
}

Test(lib, map_takes_offsets_partial_pages_and_protections)
{
        struct daxtier_map_options options = { .size = sizeof(options), .prot = PROT_READ };
        void *address;
        char *bytes;

        cr_assert_eq(daxtier_map(handle, fixture_fd, 2 * PAGE, PAGE + 1, NULL, &address), 0);
        bytes = address;
        cr_assert_eq(bytes[0], 2);
        cr_assert_eq(bytes[PAGE + 100], 3, "the last page is whole");
        bytes[PAGE + 100] = 'x';
        cr_assert_eq(daxtier_unmap(handle, address, PAGE + 1), 0);
        cr_assert_not(is_mapped(bytes + PAGE));

        address = map_with(&options);
        cr_assert_eq(mprotect(address, PAGE, PROT_READ | PROT_WRITE), 0);
        cr_assert_str_eq(own_policy(address), "prefer:0");
}

/* Address space is no memory: behind the end of the file nothing can be touched. */
Test(lib, map_takes_lengths_far_behind_the_end_of_the_file)
{
        void *address;

        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, (size_t)1 << 40, NULL, &address), 0);
        cr_assert_str_eq(own_policy(address), "prefer:0");
        cr_assert_eq(daxtier_unmap(handle, address, (size_t)1 << 40), 0);
}

Test(lib, options_of_a_newer_program_are_fine_unless_used)
{
        struct {
                struct daxtier_map_options known;
                uint64_t newer;
        } options = { .known = { .size = sizeof(options), .tier = "node:0" } };
        void *address = NULL;

        cr_assert_str_eq(own_policy(map_with(&options.known)), "prefer:0");

        options.newer = 1;
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, &options.known, &address), -E2BIG);
        cr_assert_null(address);
}

Test(lib, a_handle_notices_a_node_that_is_onlined_later)
{
        void *address = NULL;

        fixture_publish("");
        cr_assert_eq(handle_refresh(handle), 0);
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address), -ENXIO);

        fixture_publish("0");
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address), 0);
        cr_assert_str_eq(own_policy(address), "prefer:0");
}

Test(lib, published_nodes_without_memory_are_no_tier)
{
        void *address = NULL;

        fixture_publish("1000");
        cr_assert_eq(handle_refresh(handle), 0);
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address), -ENXIO);
}

/* The snapshot still says "node 1000", as after an offline: the kernel refuses, and we look again. */
Test(lib, a_handle_notices_a_node_that_went)
{
        void *address = NULL;
        long before;

        handle->machine.tiers.cheap = (NodeSet){};
        nodeset_add(&handle->machine.tiers.cheap, 1000);
        nodeset_add(&handle->machine.memory, 1000);
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address), 0);
        cr_assert_str_eq(own_policy(address), "prefer:0");

        fixture_publish("");
        handle->machine.tiers.cheap = (NodeSet){};
        nodeset_add(&handle->machine.tiers.cheap, 1000);
        nodeset_add(&handle->machine.memory, 1000);
        before = count_mappings();
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, &address), -ENXIO);
        cr_assert_eq(count_mappings(), before, "mapped, refused by mbind(), and left there");
}

Test(lib, tiers_come_from_sys_where_no_daemon_is)
{
        NodeSet nodes;

        fixture_publish(NULL);
        cr_assert_eq(handle_refresh(handle), 0);
        cr_assert_eq(handle_resolve(handle, &(Tier){ .kind = TIER_FAST }, &nodes), 0);
        cr_assert(nodeset_has(&nodes, 0), "node 0 has CPUs");
}

Test(lib, unmap_takes_its_own_ranges_whole_or_in_part)
{
        char *address = fixture_map(8);

        cr_assert_eq(daxtier_unmap(handle, address + 2 * PAGE, PAGE), 0);
        cr_assert_not(is_mapped(address + 2 * PAGE));
        cr_assert_eq(daxtier_unmap(handle, address + 2 * PAGE, PAGE), -ENOENT, "gone already");
        cr_assert_eq(daxtier_unmap(handle, address, 8 * PAGE), -ENOENT, "has a hole");
        cr_assert(is_mapped(address) && is_mapped(address + 3 * PAGE));

        cr_assert_eq(daxtier_unmap(handle, address, 2 * PAGE), 0);
        cr_assert_eq(daxtier_unmap(handle, address + 3 * PAGE, 5 * PAGE), 0);
        cr_assert_not(is_mapped(address + 7 * PAGE));
}

Test(lib, unmap_refuses_foreign_ranges)
{
        char *own = fixture_map(1), *foreign;
        daxtier *other;

        foreign = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fixture_fd, 0);
        cr_assert_neq(foreign, MAP_FAILED);
        cr_assert_eq(daxtier_unmap(handle, foreign, PAGE), -ENOENT);
        cr_assert(is_mapped(foreign));

        cr_assert_eq(handle_new("/sys", fixture_published, &other), 0);
        cr_assert_eq(daxtier_unmap(other, own, PAGE), -ENOENT);
        cr_assert(is_mapped(own));
        daxtier_close(other);
}

Test(lib, mappings_outlive_the_descriptor_and_the_handle)
{
        char *address = fixture_map(FILE_PAGES);
        int fd = dup(fixture_fd);

        cr_assert_eq(close(fixture_fd), 0);
        daxtier_close(handle);
        handle = NULL;
        cr_assert_eq(address[5 * PAGE], 5);
        fixture_fd = fd;
}

Test(lib, place_puts_a_policy_on_own_memory_and_takes_it_back)
{
        char *address = mmap(NULL, 4 * (size_t)PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        cr_assert_neq(address, MAP_FAILED);
        cr_assert_eq(daxtier_place(handle, address + PAGE, PAGE + 1, "cheap", 0), 0);
        cr_assert_str_eq(own_policy(address), "default");
        cr_assert_str_eq(own_policy(address + PAGE), "prefer:0");
        cr_assert_str_eq(own_policy(address + 2 * PAGE), "prefer:0", "the last page is whole");
        cr_assert_str_eq(own_policy(address + 3 * PAGE), "default");

        cr_assert_eq(daxtier_place(handle, address, 2 * PAGE, "node:0", DAXTIER_STRICT), 0);
        cr_assert_str_eq(own_policy(address), "bind:0");
        cr_assert_eq(daxtier_place(handle, address, 4 * PAGE, "default", 0), 0);
        cr_assert_str_eq(own_policy(address), "default");
}

Test(lib, place_refuses_holes_and_changes_nothing)
{
        static const char *const tiers[] = { "cheap", "default" };
        char *address = mmap(NULL, 3 * (size_t)PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        cr_assert_neq(address, MAP_FAILED);
        cr_assert_eq(daxtier_place(handle, address, PAGE, "cheap", DAXTIER_STRICT), 0);
        cr_assert_eq(munmap(address + PAGE, PAGE), 0);

        for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
                cr_assert_eq(daxtier_place(handle, address, 3 * PAGE, tiers[i], 0), -EFAULT);
                cr_assert_str_eq(own_policy(address), "bind:0");
                cr_assert_eq(daxtier_place(handle, address + PAGE, PAGE, tiers[i], 0), -EFAULT);
        }
}

Test(lib, a_forked_child_owns_what_its_parent_mapped)
{
        char *address = fixture_map(2);
        int status;
        pid_t pid;

        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0)
                _exit(daxtier_unmap(handle, address, PAGE) == 0 &&
                                      strcmp(own_policy(address + PAGE), "prefer:0") == 0
                              ? 0
                              : 1);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        cr_assert(is_mapped(address), "the parent's stays");
}

static void *map_and_unmap(void *argument)
{
        for (unsigned i = 0; i < 500; i++) {
                void *address;

                if (daxtier_map(handle, fixture_fd, 0, 3 * (size_t)PAGE, NULL, &address) < 0 ||
                    daxtier_unmap(handle, (char *)address + PAGE, PAGE) < 0 ||
                    daxtier_unmap(handle, address, PAGE) < 0 ||
                    daxtier_unmap(handle, (char *)address + 2 * PAGE, PAGE) < 0)
                        return argument;
                if (i % 100 == 0 && handle_refresh(handle) < 0)
                        return argument;
        }

        return NULL;
}

Test(lib, serves_several_threads)
{
        pthread_t threads[4];
        void *failed;

        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, map_and_unmap, handle), 0);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
                cr_assert_eq(pthread_join(threads[i], &failed), 0);
                cr_assert_null(failed);
        }
        cr_assert_eq(handle->ranges.n_items, 0);
}

static double seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 20,000 mappings that cannot merge: the unmap of one in the middle must not cost as much as a walk
 * through all. Held against the whole, not a clock: 100 times what a map and unmap cost at the start
 * is far from the 20,000 times of a list. */
Test(lib, ten_thousand_ranges_cost_little)
{
        enum { MANY = 10000, FEW = 100 };
        static char *addresses[MANY];
        double few = 0, many, start;

        start = seconds();
        for (unsigned i = 0; i < MANY; i++) {
                addresses[i] = fixture_map(3);
                cr_assert_eq(daxtier_unmap(handle, addresses[i] + PAGE, PAGE), 0);
                if (i == FEW - 1)
                        few = seconds() - start;
        }
        cr_assert_geq(handle->ranges.n_items, MANY);

        for (unsigned i = 0; i < MANY; i += 2)
                cr_assert_eq(daxtier_unmap(handle, addresses[i], PAGE), 0);
        many = seconds() - start;

        cr_log_info("%d ranges: %.2f us for each map and split at first, %.2f us over all", MANY,
                    few * 1e6 / FEW, many * 1e6 / MANY);
        cr_assert_lt(many / MANY, 100 * few / FEW);
}
