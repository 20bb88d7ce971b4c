/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "daemon/kernel/tracee.h"
#include "daemon/kernel/vdso.h"
#include "daemon/kernel/vmas.h"
#include "policy/macro.h"
#include "tests/unit/inject-child.h"
#include "tests/unit/scratch.h"

/* As the kernel's get_nodes() reads a node mask: one bit less than maxnode. */
static NodeSet read_as_kernel(const unsigned char *at, unsigned maxnode)
{
        NodeSet nodes = {};

        for (unsigned bit = 0; bit + 1 < maxnode; bit++)
                if (at[bit / 8] & (1u << (bit % 8)))
                        nodeset_add(&nodes, bit);
        return nodes;
}

Test(vdso, has_a_mask_for_every_low_node)
{
        Vdso vdso;

        cr_assert_eq(vdso_own(&vdso), 0);
        for (unsigned node = 0; node <= 13; node++) {
                NodeSet nodes = {}, found;
                size_t offset = 0;
                unsigned maxnode = 0;

                nodeset_add(&nodes, node);
                cr_assert_eq(vdso_find_nodes(vdso.image, vdso.size, &nodes, &offset, &maxnode), 0,
                             "node %u", node);
                cr_assert_eq(maxnode, node + 2);
                found = read_as_kernel(vdso.image + offset, maxnode);
                cr_assert(nodeset_equal(&found, &nodes), "node %u", node);
        }
}

Test(vdso, masks_of_several_nodes_and_of_high_ones)
{
        unsigned char image[64] = {};
        NodeSet nodes = {}, found;
        size_t offset = 77;
        unsigned maxnode = 77;

        nodeset_add(&nodes, 2);
        nodeset_add(&nodes, 3);
        cr_assert_eq(vdso_find_nodes(image, sizeof(image), &nodes, &offset, &maxnode), -ENOENT);
        cr_assert_eq(offset, 77);
        image[21] = 0xfc; /* the upper four bits do not matter */
        cr_assert_eq(vdso_find_nodes(image, sizeof(image), &nodes, &offset, &maxnode), 0);
        cr_assert_eq(offset, 21);
        cr_assert_eq(maxnode, 5);

        nodes = (NodeSet){};
        nodeset_add(&nodes, 70);
        image[40] = 0x40;
        cr_assert_eq(vdso_find_nodes(image, sizeof(image), &nodes, &offset, &maxnode), 0);
        found = read_as_kernel(image + offset, maxnode);
        cr_assert(nodeset_equal(&found, &nodes));

        /* Whole words are read: the last bytes of the image cannot be used. */
        memset(image, 0, sizeof(image));
        image[sizeof(image) - 1] = 1;
        nodes = (NodeSet){};
        nodeset_add(&nodes, 0);
        cr_assert_eq(vdso_find_nodes(image, sizeof(image), &nodes, &offset, &maxnode), -ENOENT);
}

Test(vdso, is_the_same_in_another_program)
{
        Target target = target_new("read");
        uint64_t address = 0;
        Vdso vdso;

        cr_assert_eq(vdso_own(&vdso), 0);
        cr_assert_eq(vdso_locate(target.process_fd, &address), 0);
        cr_assert_eq(vdso_compare(&vdso, target.pid, address), 0);
        cr_assert_eq(vdso_compare(&vdso, target.pid, target.address), -EMEDIUMTYPE);
        cr_assert_eq(vdso_compare(&vdso, target.pid, 4096), -EFAULT);
        cr_assert_eq(target_end(&target), 0);
}

Test(vdso, is_not_there_yet_in_the_middle_of_an_exec)
{
        _cleanup_(scratch_freep) Scratch process = scratch_new();
        const uint64_t none[2] = {}, without[4] = { AT_PAGESZ, 4096 };
        uint64_t address = 7;

        scratch_write(&process, "auxv", none, sizeof(none));
        cr_assert_eq(vdso_locate(process.fd, &address), -EAGAIN);
        scratch_write(&process, "auxv", without, sizeof(without));
        cr_assert_eq(vdso_locate(process.fd, &address), -ENOENT);
        cr_assert_eq(address, 7);
}

static void assert_same(const Vma *a, const Vma *b)
{
        cr_assert_eq(a->start, b->start);
        cr_assert_eq(a->end, b->end);
        cr_assert_eq(a->offset, b->offset, "%lx: %lx, %lx", a->start, a->offset, b->offset);
        cr_assert_eq(a->inode, b->inode);
        cr_assert_eq(a->dev_major, b->dev_major);
        cr_assert_eq(a->dev_minor, b->dev_minor);
        cr_assert_eq(a->executable, b->executable);
        cr_assert_eq(a->shared, b->shared);
}

/* Both ways of asking the kernel give the same, for more VMAs than fit into one buffer. */
Test(vmas, by_text_as_by_query)
{
        _cleanup_(closep) int process_fd = inject_open_process(getpid());
        _cleanup_(vmas_close) Vmas text, query;
        Mapping *mappings;
        size_t n, compared = 0;
        Vma a, b;

        for (int i = 0; i < 300; i++)
                cr_assert_neq(mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_EXEC,
                                   (i % 3 ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS, -1, 0),
                              MAP_FAILED);
        cr_assert_eq(maps_read(process_fd, &mappings, &n), 0);
        cr_assert_eq(vmas_open(process_fd, true, &text), 0);
        cr_assert_eq(vmas_open(process_fd, false, &query), 0);
        for (size_t i = 0; i < n; i++) {
                uint64_t last = mappings[i].end - 1;

                if (mappings[i].file && strcmp(mappings[i].file, "[vsyscall]") == 0)
                        continue;
                cr_assert_eq(vmas_find(&text, last, UINT64_MAX, &a), 0, "%lx", last);
                cr_assert_eq(vmas_find(&query, last, UINT64_MAX, &b), 0);
                assert_same(&a, &b);
                cr_assert_eq(a.start, mappings[i].start);
                compared++;
        }
        cr_assert_gt(compared, 200);

        /* Backwards, holes, and no time left. */
        cr_assert_eq(vmas_find(&text, mappings[1].start, UINT64_MAX, &a), 0);
        cr_assert_eq(a.start, mappings[1].start);
        cr_assert_eq(vmas_find(&text, 4096, UINT64_MAX, &a), -EFAULT);
        cr_assert_eq(vmas_find(&query, 4096, UINT64_MAX, &a), -EFAULT);
        cr_assert_eq(vmas_find(&text, mappings[n / 2].start, 1, &a), -ETIME);
        cr_assert_eq(vmas_find(&query, mappings[n / 2].start, 1, &a), -ETIME);
        mappings_free(mappings, n);
}
