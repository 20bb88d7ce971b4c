/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/mempolicy.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

#define PAGE ((size_t)4096)

typedef struct Case {
        const char *line;
        int result;
        Mapping mapping;
} Case;

static void assert_same(const Mapping *a, const Mapping *b, const char *line)
{
        cr_assert_eq(a->start, b->start, "%s", line);
        cr_assert_eq(a->end, b->end, "%s", line);
        cr_assert_eq(a->offset, b->offset, "%s", line);
        cr_assert_eq(a->dev_major, b->dev_major, "%s", line);
        cr_assert_eq(a->dev_minor, b->dev_minor, "%s", line);
        cr_assert_eq(a->inode, b->inode, "%s", line);
        cr_assert_eq(a->deleted, b->deleted, "%s", line);
        cr_assert_eq(a->readable, b->readable, "%s", line);
        cr_assert_eq(a->writable, b->writable, "%s", line);
        cr_assert_eq(a->executable, b->executable, "%s", line);
        cr_assert_eq(a->shared, b->shared, "%s", line);
        cr_assert_eq(a->kind, b->kind, "%s", line);
        cr_assert_eq(!a->file, !b->file, "%s", line);
        if (a->file)
                cr_assert_str_eq(a->file, b->file, "%s", line);
}

Test(maps, reads_every_kind_of_line)
{
        static char image[] = "/mnt/pmem/a b.img", newline[] = "/x\ny", heap[] = "[heap]",
                    zero[] = "/dev/zero", memfd[] = "/memfd:x", anon[] = "[anon:a (deleted)]",
                    literal[] = "/x\\101";
        static const Case cases[] = {
                { "7f0000000000-7f0040000000 rw-p 00200000 103:0a 18446744073709551615        "
                  "/mnt/pmem/a b.img",
                  0,
                  { .start = 0x7f0000000000,
                    .end = 0x7f0040000000,
                    .offset = 0x200000,
                    .dev_major = 0x103,
                    .dev_minor = 0xa,
                    .inode = UINT64_MAX,
                    .file = image,
                    .readable = true,
                    .writable = true,
                    .kind = MAPPING_FILE_UNKNOWN } },
                { "1000-2000 ---s 00000000 fe:00 7 /x\\012y (deleted)",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .dev_major = 0xfe,
                    .inode = 7,
                    .file = newline,
                    .deleted = true,
                    .shared = true,
                    .kind = MAPPING_FILE_UNKNOWN } },
                { "1000-2000 r-xp 00000000 fe:00 7 /x\\101",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .dev_major = 0xfe,
                    .inode = 7,
                    .file = literal,
                    .readable = true,
                    .executable = true,
                    .kind = MAPPING_FILE_UNKNOWN } },
                { "1000-2000 rw-p 00000000 00:00 0 ",
                  0,
                  { .start = 0x1000, .end = 0x2000, .readable = true, .writable = true } },
                { "1000-2000 rw-p 00000000 00:00 0",
                  0,
                  { .start = 0x1000, .end = 0x2000, .readable = true, .writable = true } },
                { "1000-2000 rw-p 00000000 00:00 0                     [heap]",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .file = heap,
                    .readable = true,
                    .writable = true } },
                { "1000-2000 rw-p 00000000 00:00 0                     [anon:a (deleted)]",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .file = anon,
                    .readable = true,
                    .writable = true } },
                { "1000-2000 rw-s 00000000 00:01 9                     /dev/zero (deleted)",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .dev_minor = 1,
                    .inode = 9,
                    .file = zero,
                    .deleted = true,
                    .readable = true,
                    .writable = true,
                    .shared = true,
                    .kind = MAPPING_FILE_UNKNOWN } },
                { "1000-2000 rw-p 00000000 00:01 9                     /memfd:x (deleted)",
                  0,
                  { .start = 0x1000,
                    .end = 0x2000,
                    .dev_minor = 1,
                    .inode = 9,
                    .file = memfd,
                    .deleted = true,
                    .readable = true,
                    .writable = true,
                    .kind = MAPPING_FILE_UNKNOWN } },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(mapping_deinit) Mapping mapping = {};

                cr_assert_eq(maps_parse_line(cases[i].line, &mapping), 0, "%s", cases[i].line);
                assert_same(&mapping, &cases[i].mapping, cases[i].line);
        }
}

Test(maps, refuses_every_beginning_of_a_line)
{
        static const char line[] = "7f0000000000-7f0040000000 rw-p 00200000 103:0a 5 /x";
        static const char *const others[] = {
                "2000-1000 rw-p 00000000 00:00 0",
                "1000-1000 rw-p 00000000 00:00 0",
                "1000-2000 rwyp 00000000 00:00 0",
                "1000-2000 rw-p 00000000 00:00 -1",
                "1000-2000 rw-p 00000000 00:00 0x",
                "1000-2000 rw-p 00000000 00 0",
                "1000-10000000000000000 rw-p 00000000 00:00 0",
                "1000-2000 rw-p 00000000 100000000:00 0",
                " 1000-2000 rw-p 00000000 00:00 0",
        };
        Mapping mapping = { .start = 77 };
        char text[sizeof(line)];

        for (size_t length = 0; length < strlen("7f0000000000-7f0040000000 rw-p 00200000 103:0a ");
             length++) {
                memcpy(text, line, length);
                text[length] = '\0';
                cr_assert_eq(maps_parse_line(text, &mapping), -EBADMSG, "%s", text);
        }
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                cr_assert_eq(maps_parse_line(others[i], &mapping), -EBADMSG, "%s", others[i]);
        cr_assert_eq(mapping.start, 77);
}

Test(maps, reads_policies_as_all_kernels_print_them)
{
        static const struct {
                const char *line;
                VmaPolicy policy;
                const char *nodes;
        } cases[] = {
                { "1000 default heap anon=2 N0=2 kernelpagesize_kB=4", VMA_POLICY_DEFAULT, "" },
                { "1000 default", VMA_POLICY_DEFAULT, "" },
                { "1000 prefer:2 file=/a\\040bind:3 anon=2", VMA_POLICY_PREFERRED, "2" },
                { "1000 prefer (many):1,3-4 anon=2", VMA_POLICY_PREFERRED, "1,3-4" },
                { "1000 prefer (many)=static:1 anon=2", VMA_POLICY_PREFERRED, "1" },
                { "1000 prefer=relative:2", VMA_POLICY_PREFERRED, "2" },
                { "1000 prefer=static|balancing:2", VMA_POLICY_PREFERRED, "2" },
                { "1000 bind:2", VMA_POLICY_BIND, "2" },
                { "1000 bind=balancing:0-1,3 file=/x", VMA_POLICY_BIND, "0-1,3" },
                { "1000 interleave:0-1 file=/x", VMA_POLICY_OTHER, "0-1" },
                { "1000 weighted interleave:0-1 file=/x", VMA_POLICY_OTHER, "0-1" },
                { "1000 weighted interleave=static:0 file=/x", VMA_POLICY_OTHER, "0" },
                { "1000 local stack", VMA_POLICY_OTHER, "" },
                { "1000 preferential:1", VMA_POLICY_OTHER, "1" },
                /* 63 characters: the kernel cut it, and the last node may be a part of one */
                { "1000 bind:1,10,100,101,103,105,107,109,111,113,115,117,119,121,123,2 file=/x",
                  VMA_POLICY_BIND, "1,10,100-101,103,105,107,109,111,113,115,117,119,121,123" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char text[NODESET_TEXT_MAX];
                VmaPolicy policy;
                uint64_t start;
                NodeSet nodes;

                cr_assert_eq(numa_maps_parse_line(cases[i].line, &start, &policy, &nodes), 0, "%s",
                             cases[i].line);
                cr_assert_eq(start, 0x1000);
                cr_assert_eq(policy, cases[i].policy, "%s", cases[i].line);
                cr_assert_eq(nodeset_format(&nodes, text, sizeof(text)), 0);
                cr_assert_str_eq(text, cases[i].nodes, "%s", cases[i].line);
        }
}

Test(maps, refuses_other_texts_as_policies)
{
        static const char *const lines[] = { "",          "1000",          "x default",
                                             "1000 ",     "1000 bind:x",   "1000 bind:0-",
                                             "1000 =a:1", "1000 bind:5000" };
        uint64_t start = 77;
        VmaPolicy policy;
        NodeSet nodes;

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                cr_assert_eq(numa_maps_parse_line(lines[i], &start, &policy, &nodes), -EBADMSG,
                             "%s", lines[i]);
        cr_assert_eq(start, 77);
}

Test(maps, reads_counts_in_the_pages_that_they_are_in)
{
        static uint64_t by_node[NODESET_MAX];
        uint64_t anonymous = 77;

        numa_maps_parse_counts("1000 prefer:2 file=/N1=9 anon=5 dirty=5 active=0 N0=3 N2=2 "
                               "kernelpagesize_kB=4",
                               &anonymous, by_node);
        cr_assert_eq(anonymous, 5 * PAGE);
        cr_assert_eq(by_node[0], 3 * PAGE);
        cr_assert_eq(by_node[1], 0);
        cr_assert_eq(by_node[2], 2 * PAGE);

        numa_maps_parse_counts("1000 default file=/anon_hugepage\\040(deleted) huge anon=2 dirty=2 "
                               "N1023=2 kernelpagesize_kB=2048",
                               &anonymous, by_node);
        cr_assert_eq(anonymous, 1024 * PAGE);
        cr_assert_eq(by_node[0], 0);
        cr_assert_eq(by_node[1023], 1024 * PAGE);

        numa_maps_parse_counts("1000 default file=/x\\040anon=3", &anonymous, by_node);
        cr_assert_eq(anonymous, 0);
        cr_assert_eq(by_node[1023], 0);
}

/* Maps @pages pages of @name, created below @scratch. */
static char *map_file(const Scratch *scratch, const char *name, size_t pages, int flags)
{
        int fd = openat(scratch->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        char *map;

        cr_assert_geq(fd, 0, "%s: %m", name);
        cr_assert_eq(ftruncate(fd, (off_t)(pages * PAGE)), 0);
        map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
        cr_assert_neq(map, MAP_FAILED);
        close(fd);
        return map;
}

static Mapping find(int process_fd, const void *address)
{
        Mapping mapping = {};

        cr_assert_eq(mapping_find(process_fd, (uintptr_t)address, &mapping), 0);
        return mapping;
}

static void assert_named(const Mapping *mapping, const Scratch *scratch, const char *name)
{
        size_t length = strlen(scratch->path);

        cr_assert_not_null(mapping->file);
        cr_assert_eq(strncmp(mapping->file, scratch->path, length), 0, "%s", mapping->file);
        cr_assert_str_eq(mapping->file + length + 1, name);
}

Test(maps, finds_the_mapping_that_holds_an_address)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, "file", 8, MAP_PRIVATE);
        Mapping first = find(self, map), middle, last = find(self, map + 8 * PAGE - 1);
        struct stat st;

        cr_assert_eq(fstatat(scratch.fd, "file", &st, 0), 0);
        cr_assert_eq(first.start, (uintptr_t)map);
        cr_assert_eq(first.end, (uintptr_t)map + 8 * PAGE);
        cr_assert_eq(last.start, first.start);
        cr_assert_eq(first.inode, st.st_ino);
        cr_assert_eq(first.kind, MAPPING_PAGE_CACHE);
        cr_assert_eq(first.policy, VMA_POLICY_DEFAULT);
        cr_assert(first.readable && first.writable && !first.executable && !first.shared &&
                  !first.sync && !first.deleted);
        assert_named(&first, &scratch, "file");

        cr_assert_eq(mprotect(map + 2 * PAGE, PAGE, PROT_NONE), 0);
        middle = find(self, map + 2 * PAGE + 5);
        cr_assert_eq(middle.start, (uintptr_t)map + 2 * PAGE);
        cr_assert_eq(middle.end, (uintptr_t)map + 3 * PAGE);
        cr_assert_eq(middle.offset, 2 * PAGE);
        cr_assert(!middle.readable && !middle.writable);
        cr_assert_eq(middle.kind, MAPPING_PAGE_CACHE);

        cr_assert_eq(munmap(map + 2 * PAGE, PAGE), 0);
        cr_assert_eq(mapping_find(self, (uintptr_t)map + 2 * PAGE, &middle), -EFAULT);
        cr_assert_eq(mapping_find(self, 0, &middle), -EFAULT);
        cr_assert_eq(mapping_find(self, UINT64_MAX, &middle), -EFAULT);
        cr_assert_eq(middle.start, (uintptr_t)map + 2 * PAGE, "untouched on failure");

        mapping_deinit(&first);
        mapping_deinit(&middle);
        mapping_deinit(&last);
}

Test(maps, numa_maps_counts_copies_in_an_inaccessible_mapping)
{
        static uint64_t by_node[NODESET_MAX];
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, "file", 8, MAP_PRIVATE);
        uint64_t anonymous = 77, on_nodes = 0;

        cr_assert_eq(madvise(map, 8 * PAGE, MADV_POPULATE_READ), 0);
        for (size_t i = 0; i < 3; i++)
                map[i * PAGE] = 'w';
        cr_assert_eq(mprotect(map, 8 * PAGE, PROT_NONE), 0);

        cr_assert_eq(numa_maps_count(self, (uintptr_t)map, &anonymous, by_node), 0);
        for (size_t i = 0; i < NODESET_MAX; i++)
                on_nodes += by_node[i];
        cr_assert_eq(anonymous, 3 * PAGE);
        cr_assert_eq(on_nodes, 8 * PAGE);
        cr_assert_eq(numa_maps_count(self, (uintptr_t)map + PAGE, &anonymous, by_node), -EFAULT);
}

Test(maps, tells_the_policy_of_the_range)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, "a:b=bind:9 c", 4, MAP_PRIVATE);
        NodeSet node0 = {};
        Mapping mapping;

        nodeset_add(&node0, 0);
        cr_assert_eq(mempolicy_apply(map + PAGE, PAGE, &node0, false), 0);
        mapping = find(self, map + PAGE);
        cr_assert_eq(mapping.start, (uintptr_t)map + PAGE);
        cr_assert_eq(mapping.policy, VMA_POLICY_PREFERRED);
        cr_assert(nodeset_equal(&mapping.policy_nodes, &node0));
        mapping_deinit(&mapping);

        cr_assert_eq(mempolicy_apply(map + PAGE, PAGE, &node0, true), 0);
        mapping = find(self, map + PAGE);
        cr_assert_eq(mapping.policy, VMA_POLICY_BIND);
        mapping_deinit(&mapping);

        mapping = find(self, map);
        cr_assert_eq(mapping.policy, VMA_POLICY_DEFAULT);
        cr_assert(nodeset_is_empty(&mapping.policy_nodes));
        mapping_deinit(&mapping);
}

typedef struct Policies {
        char *map;
        NodeSet node0;
} Policies;

static void set_policies(void *data)
{
        Policies *policies = data;

        if (mempolicy_apply(policies->map, PAGE, &policies->node0, false) < 0 ||
            mempolicy_apply(policies->map + PAGE, PAGE, &policies->node0, true) < 0)
                _exit(1);
        policies->map[0] = policies->map[PAGE] = policies->map[2 * PAGE] = 'w';
}

/* Of ourselves the kernel tells the policy at once, of others through numa_maps: to the same end. */
Test(maps, tells_the_policies_of_another_process)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        Policies policies = { .map = map_file(&scratch, "file", 4, MAP_PRIVATE) };
        static const VmaPolicy expected[] = { VMA_POLICY_PREFERRED, VMA_POLICY_BIND,
                                              VMA_POLICY_DEFAULT };

        nodeset_add(&policies.node0, 0);
        {
                _cleanup_(child_freep) Child child = child_new(set_policies, &policies);

                for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                        Mapping mapping = find(child.process_fd, policies.map + i * PAGE);

                        cr_assert_eq(mapping.policy, expected[i], "page %zu", i);
                        cr_assert_eq(nodeset_count(&mapping.policy_nodes),
                                     expected[i] == VMA_POLICY_DEFAULT ? 0 : 1);
                        mapping_deinit(&mapping);
                }
        }
}

static void prefer_everywhere(void *data)
{
        const NodeSet *nodes = data;

        if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes->bits, NODESET_MAX + 1UL) < 0)
                _exit(1);
}

Test(maps, a_vma_without_a_policy_has_that_of_its_process)
{
        _cleanup_(closep) int self = own_process();
        NodeSet node0 = {};
        Mapping mapping;

        nodeset_add(&node0, 0);
        {
                _cleanup_(child_freep) Child child = child_new(prefer_everywhere, &node0);

                mapping = find(child.process_fd, &self);
                cr_assert_eq(mapping.policy, VMA_POLICY_PREFERRED);
                cr_assert(nodeset_equal(&mapping.policy_nodes, &node0));
                mapping_deinit(&mapping);
        }

        mapping = find(self, &self);
        cr_assert_eq(mapping.policy, VMA_POLICY_DEFAULT);
        mapping_deinit(&mapping);
        prefer_everywhere(&node0);
        mapping = find(self, &self);
        cr_assert_eq(mapping.policy, VMA_POLICY_PREFERRED);
        cr_assert(nodeset_equal(&mapping.policy_nodes, &node0));
        mapping_deinit(&mapping);
}

Test(maps, names_are_the_files_own)
{
        static const char *const names[] = { "new\nline",     "back\\012slash", "x (deleted)",
                                             "y (deleted)\n", "blanks  in it ", "\303\244\377" };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                char *map = map_file(&scratch, names[i], 1, MAP_PRIVATE), other[64];
                Mapping mapping = find(self, map);

                assert_named(&mapping, &scratch, names[i]);
                cr_assert_not(mapping.deleted, "%s", names[i]);
                mapping_deinit(&mapping);

                cr_assert_eq(unlinkat(scratch.fd, names[i], 0), 0);
                mapping = find(self, map);
                assert_named(&mapping, &scratch, names[i]);
                cr_assert(mapping.deleted, "%s", names[i]);
                cr_assert_eq(mapping.kind, MAPPING_PAGE_CACHE, "deleted, but not out of sight");
                mapping_deinit(&mapping);

                /* Other files are not the mapped one, whatever they are called. */
                snprintf(other, sizeof(other), "%s (deleted)", names[i]);
                scratch_write(&scratch, names[i], "", 0);
                scratch_write(&scratch, other, "", 0);
                mapping = find(self, map);
                assert_named(&mapping, &scratch, names[i]);
                cr_assert(mapping.deleted, "%s", names[i]);
                mapping_deinit(&mapping);
        }
}

Test(maps, knows_anonymous_memory_in_all_its_guises)
{
        _cleanup_(closep) int self = own_process(), memfd = memfd_create("x", MFD_CLOEXEC);
        _cleanup_(closep) int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
        struct {
                int fd, flags;
                MappingKind kind;
                const char *file;
        } cases[] = {
                { -1, MAP_PRIVATE | MAP_ANONYMOUS, MAPPING_ANON, NULL },
                { -1, MAP_SHARED | MAP_ANONYMOUS, MAPPING_ANON, "/dev/zero" },
                { zero, MAP_PRIVATE, MAPPING_ANON, "/dev/zero" },
                { zero, MAP_SHARED, MAPPING_ANON, "/dev/zero" },
                { memfd, MAP_PRIVATE, MAPPING_PAGE_CACHE, "/memfd:x" },
                { memfd, MAP_SHARED, MAPPING_PAGE_CACHE, "/memfd:x" },
        };
        int on_stack = 0;
        Mapping mapping;

        cr_assert_eq(ftruncate(memfd, (off_t)PAGE), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                /* A neighbour of another protection keeps it from merging with what is there. */
                char *map = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                map = mmap(map + PAGE, PAGE, PROT_READ | PROT_WRITE, cases[i].flags | MAP_FIXED,
                           cases[i].fd, 0);
                cr_assert_neq(map, MAP_FAILED);
                mapping = find(self, map);
                cr_assert_eq(mapping.kind, cases[i].kind, "case %zu", i);
                cr_assert_eq(!mapping.file, !cases[i].file, "case %zu", i);
                if (mapping.file)
                        cr_assert_str_eq(mapping.file, cases[i].file);
                mapping_deinit(&mapping);
        }

        mapping = find(self, &on_stack);
        cr_assert_eq(mapping.kind, MAPPING_ANON);
        cr_assert_str_eq(mapping.file, "[stack]");
        mapping_deinit(&mapping);
}

/* Without privileges map_files is closed; the file's name, if it still has it, must do. */
Test(maps, without_privileges_the_kind_is_known_by_name_or_not_at_all)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = -1;
        char *map = map_file(&scratch, "file", 1, MAP_PRIVATE), *link;
        Mapping mapping;

        if (geteuid() != 0)
                cr_skip_test("needs root to drop its privileges");

        cr_assert_eq(linkat(scratch.fd, "file", scratch.fd, "other", 0), 0);
        link = map_file(&scratch, "other", 1, MAP_SHARED);
        cr_assert_eq(fchmod(scratch.fd, 0755), 0);
        cr_assert_eq(setresuid(65534, 65534, 0), 0);
        cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
        self = own_process();

        mapping = find(self, map);
        cr_assert_eq(mapping.kind, MAPPING_PAGE_CACHE);
        mapping_deinit(&mapping);

        cr_assert_eq(seteuid(0), 0);
        cr_assert_eq(unlinkat(scratch.fd, "file", 0), 0);
        cr_assert_eq(seteuid(65534), 0);
        cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);

        mapping = find(self, map);
        cr_assert_eq(mapping.kind, MAPPING_FILE_UNKNOWN);
        cr_assert(mapping.deleted);
        mapping_deinit(&mapping);

        mapping = find(self, link);
        cr_assert_eq(mapping.kind, MAPPING_PAGE_CACHE);
        mapping_deinit(&mapping);
        cr_assert_eq(setresuid(0, 0, 0), 0);
}

Test(maps, reads_thousands_of_mappings_in_order)
{
        enum { N = 5000 };
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        char *map = map_file(&scratch, "file", 2 * (size_t)N, MAP_PRIVATE);
        size_t n_mappings, seen = 0;
        NodeSet node0 = {};
        Mapping *mappings;

        nodeset_add(&node0, 0);
        for (size_t i = 0; i < N; i++)
                cr_assert_eq(mempolicy_apply(map + 2 * i * PAGE, PAGE, &node0, i % 4 == 0), 0);

        cr_assert_eq(maps_read(self, &mappings, &n_mappings), 0);
        cr_assert_gt(n_mappings, 2 * (size_t)N);
        cr_assert_eq(mappings_inspect(self, mappings, n_mappings), 0);

        for (size_t i = 0; i < n_mappings; i++) {
                const Mapping *mapping = &mappings[i];
                size_t page = (mapping->start - (uintptr_t)map) / PAGE;

                cr_assert(i == 0 || mapping->start >= mappings[i - 1].end);
                if (mapping->start < (uintptr_t)map || page >= 2 * (size_t)N)
                        continue;

                cr_assert_eq(mapping->offset, page * PAGE);
                cr_assert_eq(mapping->end - mapping->start, PAGE);
                cr_assert_eq(mapping->kind, MAPPING_PAGE_CACHE);
                cr_assert_eq(mapping->policy,
                             page % 2 == 1   ? VMA_POLICY_DEFAULT
                             : page % 8 == 0 ? VMA_POLICY_BIND
                                             : VMA_POLICY_PREFERRED,
                             "page %zu", page);
                seen++;
        }
        cr_assert_eq(seen, 2 * (size_t)N);
        mappings_free(mappings, n_mappings);
}

/* A file as deep as the kernel can print. */
Test(maps, copes_with_long_paths)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(closep) int self = own_process();
        Scratch deep = scratch;
        char name[201], *map;
        Mapping mapping;

        memset(name, 'd', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        for (int i = 0; i < 18; i++) {
                cr_assert_eq(mkdirat(deep.fd, name, 0755), 0);
                deep.fd = openat(deep.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                cr_assert_geq(deep.fd, 0);
        }
        map = map_file(&deep, "new\nline (deleted)", 1, MAP_PRIVATE);
        mapping = find(self, map);
        cr_assert_eq(strlen(mapping.file), strlen(scratch.path) + 18 * 201 + 1 + 18);
        cr_assert_not_null(strstr(mapping.file, "/new\nline (deleted)"));
        mapping_deinit(&mapping);
        cr_assert_eq(unlinkat(deep.fd, "new\nline (deleted)", 0), 0);
}

static void map_one_page(void *address)
{
        *(char **)address = mmap(*(char **)address, PAGE, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

Test(maps, looks_into_another_process_until_it_is_gone)
{
        _cleanup_(closep) int self = own_process();
        char *hole = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *address = hole + PAGE;
        Child child = child_new(map_one_page, &address);
        Mapping mapping = {}, *mappings = &mapping;
        size_t n_mappings = 77;

        mapping = find(child.process_fd, address);
        cr_assert_eq(mapping.start, (uintptr_t)address);
        cr_assert(mapping.writable);
        mapping_deinit(&mapping);
        mapping = find(self, address);
        cr_assert_not(mapping.writable, "ours is another one");
        mapping_deinit(&mapping);

        child_end(&child);
        cr_assert_eq(mapping_find(child.process_fd, (uintptr_t)address, &mapping), -ESRCH);
        cr_assert_eq(maps_read(child.process_fd, &mappings, &n_mappings), -ESRCH);
        child_reap(&child);
        cr_assert_eq(mapping_find(child.process_fd, (uintptr_t)address, &mapping), -ESRCH);
        cr_assert_eq(maps_read(child.process_fd, &mappings, &n_mappings), -ESRCH);
        cr_assert_eq(mapping_inspect(child.process_fd, &mapping), -ESRCH);
        cr_assert_eq(mappings, &mapping);
        cr_assert_eq(n_mappings, 77);
        close(child.process_fd);
}

Test(maps, another_users_process_is_refused)
{
        _cleanup_(child_freep) Child child = child_new(NULL, NULL);
        Mapping mapping, *mappings;
        size_t n_mappings;

        if (geteuid() != 0)
                cr_skip_test("needs root to become another user");

        cr_assert_eq(setresuid(65534, 65534, 0), 0);
        cr_assert_eq(mapping_find(child.process_fd, 0x1000, &mapping), -EACCES);
        cr_assert_eq(maps_read(child.process_fd, &mappings, &n_mappings), -EACCES);
        cr_assert_eq(setresuid(0, 0, 0), 0);
}

Test(maps, a_kernel_thread_has_no_mappings)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int kthreadd = -1;
        Mapping *mappings = NULL, mapping;
        size_t n_mappings = 77;
        char name[64] = "";

        if (process_open(proc_fd, 2, &kthreadd) < 0 ||
            process_name(kthreadd, name, sizeof(name)) < 0 || strcmp(name, "kthreadd") != 0)
                cr_skip_test("no kernel threads to be seen in this container");

        cr_assert_eq(maps_read(kthreadd, &mappings, &n_mappings), 0);
        cr_assert_eq(n_mappings, 0);
        cr_assert_eq(mapping_find(kthreadd, 0x1000, &mapping), -EFAULT);
        mappings_free(mappings, n_mappings);
}
