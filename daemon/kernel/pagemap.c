/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* How many pages we look at between two system calls: 16 MiB of addresses. */
#define BATCH 4096u

/* PAGEMAP_SCAN (6.7) is younger than the headers of Debian 12. */
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_SWAPPED (UINT64_C(1) << 4)

struct scan_arg {
        uint64_t size;
        uint64_t flags;
        uint64_t start;
        uint64_t end;
        uint64_t walk_end;
        uint64_t regions;
        uint64_t n_regions;
        uint64_t max_pages;
        uint64_t inverted;
        uint64_t all_of;
        uint64_t any_of;
        uint64_t returned;
};

struct scan_region {
        uint64_t start;
        uint64_t end;
        uint64_t categories;
};

typedef struct PageWalk {
        int pagemap_fd;
        pid_t pid;
        uint64_t page_size;
        bool anonymous; /* every page counts, not only copies */
        Copies copies;
        uint64_t entries[BATCH];
        void *addresses[BATCH]; /* pages that are present and may be copies */
        int status[BATCH];      /* and what move_pages() says of them */
        size_t n_addresses;
        uint64_t missing; /* bytes of these that move_pages() found nowhere */
} PageWalk;

static void page_walk_freep(PageWalk **walk)
{
        if (!*walk)
                return;
        closep(&(*walk)->pagemap_fd);
        free(*walk);
}

/* Whether a page of this entry was copied, or is anonymous, and is in swap. A page that is just
 * being moved to another node looks the same. */
static bool is_swapped(uint64_t entry)
{
        return (entry & PAGEMAP_SWAPPED) && !(entry & (PAGEMAP_FILE | PAGEMAP_GUARD)) &&
               (entry & PAGEMAP_SWAP_TYPE) != PAGEMAP_MARKER;
}

/* Asks where the collected pages are. -ENOENT answers for a page of the DAX file itself (a device's
 * page) and for one that went away, -EFAULT for the zero page: neither is a copy. */
static int locate(PageWalk *walk)
{
        if (walk->n_addresses == 0)
                return 0;

        /* Not libnuma's wrapper: see mempolicy.c. */
        if (syscall(SYS_move_pages, walk->pid, walk->n_addresses, walk->addresses, NULL,
                    walk->status, 0) < 0)
                return -errno;

        for (size_t i = 0; i < walk->n_addresses; i++)
                if (walk->status[i] >= 0 && walk->status[i] < (int)NODESET_MAX) {
                        walk->copies.by_node[walk->status[i]] += walk->page_size;
                        walk->copies.bytes += walk->page_size;
                } else if (walk->status[i] == -ENOENT)
                        walk->missing += walk->page_size;

        walk->n_addresses = 0;
        return 0;
}

/* Looks at @n pages from @address on. Returns whether there was any. */
static bool sort_entries(PageWalk *walk, uint64_t address, size_t n)
{
        uint64_t any = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t entry = walk->entries[i];

                any |= entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED);
                if (entry & PAGEMAP_PRESENT) {
                        /* Of the file's own pages of a DAX mapping this bit is clear on kernels up
                         * to 6.12: whether they are copies only locate() can tell. */
                        if (walk->anonymous || !(entry & PAGEMAP_FILE))
                                walk->addresses[walk->n_addresses++] =
                                        (void *)(uintptr_t)(address + i * walk->page_size);
                } else if (is_swapped(entry)) {
                        walk->copies.bytes += walk->page_size;
                        walk->copies.swapped_bytes += walk->page_size;
                }
        }

        return any != 0;
}

uint64_t pagemap_skip_hole(int pagemap_fd, uint64_t address, uint64_t end)
{
        struct scan_region region = {};
        struct scan_arg arg = {
                .size = sizeof(arg),
                .start = address,
                .end = end,
                .regions = (uintptr_t)&region,
                .n_regions = 1,
                .any_of = SCAN_PRESENT | SCAN_SWAPPED,
                .returned = SCAN_PRESENT | SCAN_SWAPPED,
        };
        int n = ioctl(pagemap_fd, SCAN_IOCTL, &arg);

        if (n < 0)
                return address;
        if (n == 0)
                return end;

        return region.start >= address && region.start < end ? region.start : address;
}

int pagemap_read(int pagemap_fd, uint64_t index, uint64_t *entries, size_t n, size_t *ret_n)
{
        ssize_t bytes;

        bytes = TEMP_FAILURE_RETRY(pread(pagemap_fd, entries, n * sizeof(uint64_t),
                                         (off_t)(index * sizeof(uint64_t))));
        if (bytes < 0)
                return -errno;

        if (bytes == 0 && index > 0) {
                /* Behind the last address of a process ([vsyscall] is there) the file ends; it has
                 * no beginning either if the process has ended or called exec. */
                uint64_t entry;

                bytes = TEMP_FAILURE_RETRY(pread(pagemap_fd, &entry, sizeof(entry), 0));
                if (bytes <= 0)
                        return bytes < 0 ? -errno : -ESRCH;
                bytes = 0;
        } else if (bytes == 0)
                return -ESRCH;

        *ret_n = (size_t)bytes / sizeof(uint64_t);
        return 0;
}

static int walk_pages(PageWalk *walk, uint64_t address, uint64_t end)
{
        int r;

        while (address < end) {
                uint64_t left = (end - address) / walk->page_size;
                size_t n = 0;
                bool any;

                r = pagemap_read(walk->pagemap_fd, address / walk->page_size, walk->entries,
                                 left < BATCH ? (size_t)left : BATCH, &n);
                if (r < 0 || n == 0)
                        return r;

                any = sort_entries(walk, address, n);
                r = locate(walk);
                if (r < 0)
                        return r;
                address += n * walk->page_size;
                if (!any && address < end)
                        address = pagemap_skip_hole(walk->pagemap_fd, address, end);
        }

        return 0;
}

static int page_walk_new(int process_fd, pid_t pid, bool anonymous, PageWalk **ret_walk)
{
        _cleanup_(page_walk_freep) PageWalk *walk = NULL;

        walk = malloc(sizeof(*walk));
        if (!walk)
                return -ENOMEM;

        walk->pid = pid;
        walk->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
        walk->anonymous = anonymous;
        walk->copies = (Copies){};
        walk->n_addresses = 0;
        walk->missing = 0;
        walk->pagemap_fd = openat(process_fd, "pagemap", O_RDONLY | O_CLOEXEC);
        if (walk->pagemap_fd < 0)
                return -errno;

        *ret_walk = TAKE_PTR(walk);
        return 0;
}

static bool is_inaccessible(const Mapping *mapping)
{
        return !mapping->readable && !mapping->writable && !mapping->executable;
}

/* From 6.1 to 6.5 move_pages() finds no page that may not be accessed (PROT_NONE). numa_maps does,
 * but only for the VMA as a whole, and with the file's own pages among those that it has on a node,
 * unless that is a DAX file. */
static int count_inaccessible(int process_fd, const Mapping *mapping, PageWalk *walk)
{
        uint64_t anonymous = 0, on_nodes = 0;
        Copies copies = { .swapped_bytes = walk->copies.swapped_bytes };
        unsigned n_nodes = 0;
        int r;

        r = numa_maps_count(process_fd, mapping->start, &anonymous, copies.by_node);
        if (r < 0)
                return r;
        if (anonymous <= walk->copies.bytes - walk->copies.swapped_bytes)
                return 0; /* what is missing are pages of a DAX file, indeed */

        for (size_t i = 0; i < NODESET_MAX; i++) {
                on_nodes += copies.by_node[i];
                n_nodes += copies.by_node[i] > 0;
        }
        if (on_nodes != anonymous) {
                if (n_nodes != 1)
                        return -EOPNOTSUPP;
                for (size_t i = 0; i < NODESET_MAX; i++)
                        if (copies.by_node[i] > 0)
                                copies.by_node[i] = anonymous;
        }

        copies.bytes = anonymous + copies.swapped_bytes;
        walk->copies = copies;
        return 0;
}

int pagemap_count_copies(int process_fd, pid_t pid, const Mapping *mapping, uint64_t start,
                         uint64_t end, Copies *ret_copies)
{
        _cleanup_(page_walk_freep) PageWalk *walk = NULL;
        bool anonymous = mapping->kind == MAPPING_ANON;
        uint64_t ticks;
        int r;

        r = page_walk_new(process_fd, pid, anonymous, &walk);
        if (r < 0)
                return process_result(process_fd, r);

        /* A VMA begins and ends with a page. */
        start = start > mapping->start ? start - start % walk->page_size : mapping->start;
        end = end < mapping->end ? end + (walk->page_size - end % walk->page_size) % walk->page_size
                                 : mapping->end;

        /* What is written to a shared mapping goes to the file: there are no copies to look for. */
        if (!mapping->shared || anonymous) {
                r = walk_pages(walk, start, end);
                if (r >= 0 && walk->missing > 0 && is_inaccessible(mapping))
                        r = start == mapping->start && end == mapping->end
                                    ? count_inaccessible(process_fd, mapping, walk)
                                    : -EOPNOTSUPP;
                if (r < 0)
                        return process_result(process_fd, r);
        }

        /* move_pages() took a number: if the process lives now, the number has always been its. */
        r = process_start_time(process_fd, &ticks);
        if (r < 0)
                return r;

        *ret_copies = walk->copies;
        return 0;
}
