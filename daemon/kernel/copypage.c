/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/copypage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/pagemap.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* How many pages we look at between two system calls: 16 MiB of addresses. */
#define BATCH ((size_t)4096)

void copy_finder_deinit(CopyFinder *finder)
{
        closep(&finder->pagemap_fd);
        free(finder->entries);
        free(finder->addresses);
        free(finder->status);
        *finder = COPY_FINDER_NONE;
}

int copy_finder_init(int process_fd, pid_t pid, CopyFinder *ret_finder)
{
        _cleanup_(copy_finder_deinit) CopyFinder finder = COPY_FINDER_NONE;

        finder.pid = pid;
        finder.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
        finder.entries = malloc(BATCH * sizeof(*finder.entries));
        finder.addresses = malloc(BATCH * sizeof(*finder.addresses));
        finder.status = malloc(BATCH * sizeof(*finder.status));
        if (!finder.entries || !finder.addresses || !finder.status)
                return -ENOMEM;

        finder.pagemap_fd = openat(process_fd, "pagemap", O_RDONLY | O_CLOEXEC);
        if (finder.pagemap_fd < 0)
                return process_result(process_fd, -errno);

        *ret_finder = finder;
        finder = COPY_FINDER_NONE;
        return 0;
}

/* Asks where @n pages are, in .addresses; the answers are in .status. */
static int ask_nodes(CopyFinder *finder, size_t n)
{
        if (n == 0)
                return 0;
        if (syscall(SYS_move_pages, finder->pid, n, finder->addresses, NULL, finder->status, 0) < 0)
                return -errno;
        return 0;
}

static bool is_on(int node, const NodeSet *nodes)
{
        return node >= 0 && node < (int)NODESET_MAX && nodeset_has(nodes, (unsigned)node);
}

/* Of the @n entries from @address on, those that may be copies and are on none of @nodes. */
static int sort_entries(CopyFinder *finder, uint64_t address, size_t n, const NodeSet *nodes,
                        CopyPage *pages, size_t *ret_n)
{
        size_t n_asked = 0, n_pages = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                if ((finder->entries[i] & (PAGEMAP_PRESENT | PAGEMAP_FILE)) == PAGEMAP_PRESENT)
                        finder->addresses[n_asked++] =
                                (void *)(uintptr_t)(address + i * finder->page_size);

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
                };
        }

        *ret_n = n_pages;
        return 0;
}

int copy_finder_next(CopyFinder *finder, uint64_t *address, uint64_t end, const NodeSet *nodes,
                     CopyPage *pages, size_t max, size_t *ret_n)
{
        uint64_t at = *address;
        size_t n_pages = 0;
        int r;

        while (at < end && n_pages < max) {
                uint64_t left = (end - at + finder->page_size - 1) / finder->page_size;
                size_t n = max - n_pages < BATCH ? max - n_pages : BATCH, n_found = 0;

                r = pagemap_read(finder->pagemap_fd, at / finder->page_size, finder->entries,
                                 left < n ? (size_t)left : n, &n);
                if (r >= 0 && n > 0)
                        r = sort_entries(finder, at, n, nodes, pages + n_pages, &n_found);
                if (r < 0)
                        return r;
                if (n == 0) { /* behind the last address of a process */
                        at = end;
                        break;
                }

                n_pages += n_found;
                at += n * finder->page_size;
                if (n_found == 0 && at < end)
                        at = pagemap_skip_hole(finder->pagemap_fd, at, end);
        }

        *address = at < end ? at : end;
        *ret_n = n_pages;
        return 0;
}

int copy_finder_locate(CopyFinder *finder, CopyPage *pages, size_t n)
{
        int r;

        for (size_t done = 0; done < n; done += BATCH) {
                size_t n_batch = n - done < BATCH ? n - done : BATCH;

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

int copy_finder_move(CopyFinder *finder, const CopyPage *pages, size_t n, unsigned node)
{
        _cleanup_(freep) int *nodes = malloc(BATCH * sizeof(*nodes));

        if (!nodes)
                return -ENOMEM;
        for (size_t i = 0; i < BATCH; i++)
                nodes[i] = (int)node;

        for (size_t done = 0; done < n; done += BATCH) {
                size_t n_batch = n - done < BATCH ? n - done : BATCH;

                for (size_t i = 0; i < n_batch; i++)
                        finder->addresses[i] = (void *)(uintptr_t)pages[done + i].address;
                if (syscall(SYS_move_pages, finder->pid, n_batch, finder->addresses, nodes,
                            finder->status, MPOL_MF_MOVE_ALL) < 0)
                        return -errno;
        }

        return 0;
}

int copy_finder_count(CopyFinder *finder, uint64_t start, uint64_t end, const NodeSet *nodes,
                      uint64_t *ret_bytes)
{
        _cleanup_(freep) CopyPage *pages = malloc(BATCH * sizeof(*pages));
        uint64_t bytes = 0;
        int r;

        if (!pages)
                return -ENOMEM;

        while (start < end) {
                size_t n = 0;

                r = copy_finder_next(finder, &start, end, nodes, pages, BATCH, &n);
                if (r < 0)
                        return r;
                bytes += n * finder->page_size;
        }

        *ret_bytes = bytes;
        return 0;
}

size_t page_runs_virtual(const CopyPage *pages, size_t n, uint64_t page_size, uint64_t gap,
                         PageRun *runs, size_t max, size_t *ret_used)
{
        size_t n_runs = 0, used;

        for (used = 0; used < n; used++) {
                uint64_t at = pages[used].address;

                if (n_runs > 0 && at - runs[n_runs - 1].end <= gap * page_size &&
                    at - runs[n_runs - 1].start < PAGE_RUN_MAX * page_size)
                        runs[n_runs - 1].end = at + page_size;
                else if (n_runs < max)
                        runs[n_runs++] = (PageRun){ .start = at, .end = at + page_size };
                else
                        break;
        }

        *ret_used = used;
        return n_runs;
}

static int compare_frame(const void *a, const void *b)
{
        const CopyPage *left = a, *right = b;

        return (left->frame > right->frame) - (left->frame < right->frame);
}

size_t page_runs_physical(CopyPage *pages, size_t n, uint64_t page_size, PageRun *runs, size_t max,
                          size_t *ret_used)
{
        size_t n_runs = 0, used;

        if (n > 0)
                qsort(pages, n, sizeof(*pages), compare_frame);

        for (used = 0; used < n; used++) {
                uint64_t at = pages[used].frame * page_size;

                /* Two addresses may show one frame. */
                if (n_runs > 0 && at < runs[n_runs - 1].end)
                        continue;
                if (n_runs > 0 && at == runs[n_runs - 1].end &&
                    at - runs[n_runs - 1].start < PAGE_RUN_MAX * page_size)
                        runs[n_runs - 1].end += page_size;
                else if (n_runs < max)
                        runs[n_runs++] = (PageRun){ .start = at, .end = at + page_size };
                else
                        break;
        }

        *ret_used = used;
        return n_runs;
}

uint64_t page_runs_bytes(const PageRun *runs, size_t n)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < n; i++)
                bytes += runs[i].end - runs[i].start;
        return bytes;
}
