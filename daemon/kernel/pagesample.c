/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/pagesample.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/pagemap.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"
#include "policy/match.h"

#define STATUS_MAX 81920u

/* Candidates that are tried at once: few behind a hole, as it may be an island. */
#define BATCH     ((size_t)512)
#define BATCH_MIN ((size_t)32)

/* In all, of a process; and in a row without a page, in one mapping. */
#define TRIED_MAX  ((size_t)32768)
#define FUTILE_MAX ((size_t)8192)

/* One choice. */
typedef struct Choice {
        pid_t pid;
        int pagemap_fd;
        uint64_t page_size;
        unsigned shift;
        size_t n_tried;
        uint64_t addresses[SAMPLE_PAGES_MAX]; /* chosen: those present */
        size_t n;
        void *candidates[BATCH];
        int nodes[BATCH];
} Choice;

/* The nodes of @n addresses; a page that is nowhere, or of nobody alone, has -1. */
static int ask_nodes(pid_t pid, void **addresses, size_t n, int *nodes)
{
        if (n > 0 && syscall(SYS_move_pages, pid, n, addresses, NULL, nodes, 0) < 0)
                return -errno;

        for (size_t i = 0; i < n; i++)
                if (nodes[i] < 0 || nodes[i] >= (int)NODESET_MAX)
                        nodes[i] = -1;
        return 0;
}

/* Up to @max candidates, of the blocks from that of @address on, up to @end. Returns in *address where
 * the next block begins. */
static size_t list_candidates(Choice *choice, uint64_t start, uint64_t end, size_t max,
                              uint64_t *address)
{
        uint64_t block = *address / choice->page_size >> choice->shift;
        uint64_t block_size = choice->page_size << choice->shift;
        size_t n = 0;

        for (; n < max && block * block_size < end; block++) {
                uint64_t at = sample_candidate(block, choice->shift) * choice->page_size;

                if (at >= start && at < end)
                        choice->candidates[n++] = (void *)(uintptr_t)at;
        }

        *address = block * block_size;
        return n;
}

static int choose_in(Choice *choice, uint64_t start, uint64_t end)
{
        uint64_t address = start;
        size_t n_futile = 0, batch = BATCH_MIN;
        int r;

        while (address < end && n_futile < FUTILE_MAX && choice->n_tried < TRIED_MAX) {
                size_t n = list_candidates(choice, start, end, batch, &address);
                size_t n_before = choice->n;

                r = ask_nodes(choice->pid, choice->candidates, n, choice->nodes);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n && choice->n < SAMPLE_PAGES_MAX; i++)
                        if (choice->nodes[i] >= 0)
                                choice->addresses[choice->n++] = (uintptr_t)choice->candidates[i];

                choice->n_tried += n;
                n_futile = choice->n == n_before ? n_futile + n : 0;
                /* Programs reserve far more than they use. */
                batch = batch * 2 < BATCH ? batch * 2 : BATCH;
                if (n > 0 && choice->nodes[n - 1] < 0 && address < end) {
                        uint64_t found = pagemap_skip_hole(choice->pagemap_fd, address, end);

                        batch = found > address ? BATCH_MIN : batch;
                        address = found;
                }
        }
        return 0;
}

static bool is_of_interest(const Mapping *mapping)
{
        return anon_match(mapping) && (mapping->readable || mapping->writable);
}

int page_sample_count(int process_fd, uint64_t *ret_n_pages)
{
        static const char field[] = "\nRssAnon:";
        _cleanup_(freep) char *text = NULL;
        const char *line;
        uint64_t kib;
        size_t size;
        int r;

        r = attr_read_all(process_fd, "status", STATUS_MAX, &text, &size);
        if (r < 0)
                return process_result(process_fd, r);

        /* The name, which is first, is escaped: a newline begins a field. Without memory it is
         * missing. */
        line = strstr(text, field);
        if (!line)
                return -ESRCH;
        if (sscanf(line + strlen(field), " %" SCNu64 " kB", &kib) != 1)
                return -EBADMSG;

        *ret_n_pages = kib * 1024 / (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

int page_sample_choose(int process_fd, pid_t pid, size_t goal, Sample *sample,
                       uint64_t *ret_n_pages)
{
        _cleanup_(closep) int pagemap_fd = -1;
        _cleanup_(freep) Choice *choice = NULL;
        size_t n_mappings = 0;
        uint64_t n_pages = 0;
        Mapping *mappings;
        int r;

        r = page_sample_count(process_fd, &n_pages);
        if (r < 0)
                return r;
        pagemap_fd = openat(process_fd, "pagemap", O_RDONLY | O_CLOEXEC);
        if (pagemap_fd < 0)
                return process_result(process_fd, -errno);
        choice = calloc(1, sizeof(*choice));
        if (!choice)
                return -ENOMEM;
        r = maps_read(process_fd, &mappings, &n_mappings);
        if (r < 0)
                return r;

        *choice = (Choice){
                .pid = pid,
                .pagemap_fd = pagemap_fd,
                .page_size = sample->page_size,
                .shift = sample_shift(n_pages, goal < SAMPLE_PAGES_MAX ? goal : SAMPLE_PAGES_MAX),
        };
        for (size_t i = 0; i < n_mappings && r >= 0; i++)
                if (is_of_interest(&mappings[i]))
                        r = choose_in(choice, mappings[i].start, mappings[i].end);
        mappings_free(mappings, n_mappings);
        if (r < 0)
                return r;

        r = sample_replace(sample, choice->shift, choice->addresses, choice->n);
        if (r < 0)
                return r;
        *ret_n_pages = n_pages;
        return 0;
}

int page_sample_look(pid_t pid, const Sample *sample, int *ret_nodes)
{
        void *addresses[BATCH];
        int r;

        for (size_t done = 0; done < sample->n_pages; done += BATCH) {
                size_t n = sample->n_pages - done < BATCH ? sample->n_pages - done : BATCH;

                for (size_t i = 0; i < n; i++)
                        addresses[i] = (void *)(uintptr_t)sample->pages[done + i].address;
                r = ask_nodes(pid, addresses, n, ret_nodes + done);
                if (r < 0)
                        return r;
        }
        return 0;
}
