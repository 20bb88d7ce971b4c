/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/copypage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kernel-page-flags.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/pagemap.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* What move_pages() leaves in the status of pages that it was not at, or could not move. */
#define STATUS_NONE INT_MIN

/* Not libnuma's wrapper: see mempolicy.c. */
static long move_pages_call(pid_t pid, size_t n, void **addresses, const int *nodes, int *status,
                            int flags)
{
        return syscall(SYS_move_pages, pid, n, addresses, nodes, status, flags);
}

void copy_finder_deinit(CopyFinder *finder)
{
        closep(&finder->pagemap_fd);
        closep(&finder->kpageflags_fd);
        free(finder->entries);
        free(finder->addresses);
        free(finder->sizes);
        free(finder->status);
        free(finder->targets);
        *finder = COPY_FINDER_NONE;
}

int copy_finder_init(int process_fd, pid_t pid, CopyFinder *ret_finder)
{
        _cleanup_(copy_finder_deinit) CopyFinder finder = COPY_FINDER_NONE;

        finder.pid = pid;
        finder.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
        finder.move_pages = move_pages_call;
        finder.entries = malloc(COPY_WINDOW * sizeof(*finder.entries));
        finder.addresses = malloc(COPY_WINDOW * sizeof(*finder.addresses));
        finder.sizes = malloc(COPY_WINDOW * sizeof(*finder.sizes));
        finder.status = malloc(COPY_WINDOW * sizeof(*finder.status));
        finder.targets = malloc(COPY_WINDOW * sizeof(*finder.targets));
        if (!finder.entries || !finder.addresses || !finder.sizes || !finder.status ||
            !finder.targets)
                return -ENOMEM;

        finder.pagemap_fd = openat(process_fd, "pagemap", O_RDONLY | O_CLOEXEC);
        if (finder.pagemap_fd < 0)
                return process_result(process_fd, -errno);

        *ret_finder = finder;
        finder = COPY_FINDER_NONE;
        return 0;
}

int copy_finder_see_huge(CopyFinder *finder, int proc_fd)
{
        int fd = openat(proc_fd, "kpageflags", O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        finder->kpageflags_fd = fd;
        return 0;
}

/* Asks where @n pages are, in .addresses; the answers are in .status. */
static int ask_nodes(CopyFinder *finder, size_t n)
{
        if (n == 0)
                return 0;
        if (finder->move_pages(finder->pid, n, finder->addresses, NULL, finder->status, 0) < 0)
                return -errno;
        return 0;
}

static bool is_on(int node, const NodeSet *nodes)
{
        return node >= 0 && node < (int)NODESET_MAX && nodeset_has(nodes, (unsigned)node);
}

/* Small pages in the largest page that a page table maps: as many as a table has entries. */
static size_t huge_pages(const CopyFinder *finder)
{
        return finder->page_size / sizeof(uint64_t);
}

static uint64_t page_flags(const CopyFinder *finder, uint64_t frame)
{
        uint64_t flags = 0;
        ssize_t n;

        n = TEMP_FAILURE_RETRY(pread(finder->kpageflags_fd, &flags, sizeof(flags),
                                     (off_t)(frame * sizeof(flags))));
        return n == sizeof(flags) ? flags : 0;
}

/* The number of small pages in that of entry @i of @n, which begin at @address. A huge one is at a
 * multiple of its size, in addresses and in memory, and has neighbouring frames; so may small ones, by
 * chance, which kpageflags tells. What is no head half-way is of the same page. */
static size_t entry_size(const CopyFinder *finder, uint64_t address, size_t i, size_t n)
{
        const uint64_t mask = PAGEMAP_PRESENT | PAGEMAP_FILE | PAGEMAP_FRAME;
        size_t n_huge = huge_pages(finder);
        uint64_t first = finder->entries[i] & mask, frame = first & PAGEMAP_FRAME, head;

        if (finder->kpageflags_fd < 0 || i + n_huge > n || frame == 0 || frame % n_huge != 0 ||
            (address / finder->page_size + i) % n_huge != 0)
                return 1;
        for (size_t j = 1; j < n_huge; j++)
                if ((finder->entries[i + j] & mask) != first + j)
                        return 1;

        head = page_flags(finder, frame);
        if (!(head & (UINT64_C(1) << KPF_THP)) || !(head & (UINT64_C(1) << KPF_COMPOUND_HEAD)))
                return 1;
        return page_flags(finder, frame + n_huge / 2) & (UINT64_C(1) << KPF_COMPOUND_TAIL) ? n_huge
                                                                                           : 1;
}

/* Of the @n entries from @address on, those that may be copies and are on none of @nodes. */
static int sort_entries(CopyFinder *finder, uint64_t address, size_t n, bool huge,
                        const NodeSet *nodes, CopyPage *pages, size_t *ret_n)
{
        size_t n_asked = 0, n_pages = 0, size;
        int r;

        for (size_t i = 0; i < n; i += size) {
                size = 1;
                if ((finder->entries[i] & (PAGEMAP_PRESENT | PAGEMAP_FILE)) != PAGEMAP_PRESENT)
                        continue;
                if (huge)
                        size = entry_size(finder, address, i, n);
                finder->sizes[n_asked] = (unsigned)size;
                finder->addresses[n_asked++] = (void *)(uintptr_t)(address + i * finder->page_size);
        }

        r = ask_nodes(finder, n_asked);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_asked; i++) {
                uint64_t at = (uintptr_t)finder->addresses[i];

                /* -ENOENT: a page of the DAX file itself; -EFAULT: the zero page. */
                if (finder->status[i] < 0 || is_on(finder->status[i], nodes))
                        continue;
                pages[n_pages++] = (CopyPage){
                        .address = at,
                        .frame =
                                finder->entries[(at - address) / finder->page_size] & PAGEMAP_FRAME,
                        .node = finder->status[i],
                        .n_pages = finder->sizes[i],
                };
        }

        *ret_n = n_pages;
        return 0;
}

/* Up to @n pages from *address on. */
static int look(CopyFinder *finder, uint64_t *address, uint64_t end, size_t n, bool huge,
                const NodeSet *nodes, CopyPage *pages, size_t *ret_n)
{
        uint64_t at = *address, left = (end - at + finder->page_size - 1) / finder->page_size;
        size_t n_found = 0;
        int r;

        r = pagemap_read(finder->pagemap_fd, at / finder->page_size, finder->entries,
                         left < n ? (size_t)left : n, &n);
        if (r >= 0 && n > 0)
                r = sort_entries(finder, at, n, huge, nodes, pages, &n_found);
        if (r < 0)
                return r;

        if (n == 0) /* behind the last address of a process */
                at = end;
        at += n * finder->page_size;
        if (n_found == 0 && at < end)
                at = pagemap_skip_hole(finder->pagemap_fd, at, end);

        *address = at < end ? at : end;
        *ret_n = n_found;
        return 0;
}

int copy_finder_look(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t *ret_n)
{
        size_t n_huge = huge_pages(finder), n = COPY_WINDOW;

        /* Up to where a huge page may begin: it must not lie across two windows. */
        if (n_huge < n)
                n -= *address / finder->page_size % n_huge;
        return look(finder, address, end, n, true, nodes, pages, ret_n);
}

int copy_finder_next(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t max, size_t *ret_n)
{
        size_t n_pages = 0;

        while (*address < end && n_pages < max) {
                size_t room = max - n_pages, n_found = 0;
                int r;

                r = look(finder, address, end, room < COPY_WINDOW ? room : COPY_WINDOW, false,
                         nodes, pages + n_pages, &n_found);
                if (r < 0)
                        return r;
                n_pages += n_found;
        }

        *ret_n = n_pages;
        return 0;
}

int copy_finder_locate(CopyFinder *finder, CopyPage *pages, size_t n)
{
        int r;

        for (size_t done = 0; done < n; done += COPY_WINDOW) {
                size_t n_batch = n - done < COPY_WINDOW ? n - done : COPY_WINDOW;

                for (size_t i = 0; i < n_batch; i++)
                        finder->addresses[i] = (void *)(uintptr_t)pages[done + i].address;
                r = ask_nodes(finder, n_batch);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n_batch; i++)
                        pages[done + i].node = finder->status[i] >= 0 ? finder->status[i] : -1;
        }

        return 0;
}

/* How many of @n pages a call was at that could not move all: the status of those that it gave up with
 * is as it was, that of the page after them tells why the kernel moved them then, and it was at none
 * of the others. */
static size_t count_tried(const CopyFinder *finder, size_t n)
{
        size_t i = 0;

        while (i < n && finder->status[i] != STATUS_NONE)
                i++;
        while (i < n && finder->status[i] == STATUS_NONE)
                i++;
        return i < n ? i + 1 : n;
}

/* Those, too, that were given up with, and one that is somewhere anyhow. 1: some are not on @node. */
static int find_stayed(CopyFinder *finder, CopyPage *pages, size_t n, int node)
{
        int r = copy_finder_locate(finder, pages, n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (pages[i].node >= 0 && pages[i].node != node)
                        return 1;
        return 0;
}

int copy_finder_move(CopyFinder *finder, CopyPage *pages, size_t n, unsigned node,
                     size_t *ret_tried)
{
        bool unclear = false;
        long left;

        if (n > COPY_WINDOW)
                n = COPY_WINDOW;
        for (size_t i = 0; i < n; i++) {
                finder->addresses[i] = (void *)(uintptr_t)pages[i].address;
                finder->targets[i] = (int)node;
                finder->status[i] = STATUS_NONE;
        }

        left = finder->move_pages(finder->pid, n, finder->addresses, finder->targets,
                                  finder->status, MPOL_MF_MOVE_ALL);
        if (left < 0)
                return -errno;
        if (left > 0)
                n = count_tried(finder, n);

        for (size_t i = 0; i < n; i++) {
                unclear |= finder->status[i] < 0;
                pages[i].node = finder->status[i];
        }
        *ret_tried = n;
        return unclear ? find_stayed(finder, pages, n, (int)node) : 0;
}

int copy_finder_count(CopyFinder *finder, uint64_t start, uint64_t end, const NodeSet *nodes,
                      uint64_t *ret_bytes)
{
        _cleanup_(freep) CopyPage *pages = malloc(COPY_WINDOW * sizeof(*pages));
        uint64_t bytes = 0;
        int r;

        if (!pages)
                return -ENOMEM;

        while (start < end) {
                size_t n = 0;

                r = copy_finder_next(finder, &start, end, nodes, pages, COPY_WINDOW, &n);
                if (r < 0)
                        return r;
                bytes += n * finder->page_size;
        }

        *ret_bytes = bytes;
        return 0;
}
