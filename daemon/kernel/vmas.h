/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Single VMAs of a process by address, while it is stopped: fast, and without allocating.
 * PROCMAP_QUERY (6.11) costs the same however many VMAs there are; before it, maps is read up to the
 * address. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMAS_TEXT_MAX 8192u

typedef struct Vma Vma;
typedef struct Vmas Vmas;

struct Vma {
        uint64_t start;
        uint64_t end;
        uint64_t offset; /* bytes into the file; of anonymous memory 0 */
        uint64_t inode;
        uint32_t dev_major;
        uint32_t dev_minor;
        bool executable;
        bool shared;
};

struct Vmas {
        int fd;
        bool by_text;
        Vma last; /* by text: the VMA read last */
        size_t used, size;
        char text[VMAS_TEXT_MAX];
};

/* @by_text: as on a kernel without PROCMAP_QUERY. Close with vmas_close(), after a failure, too. */
int vmas_open(int process_fd, bool by_text, Vmas *vmas);
void vmas_close(Vmas *vmas);

/* The VMA that holds @address. -EFAULT: none. -ETIME: not found before @deadline_ns
 * (CLOCK_MONOTONIC). By text, ascending addresses cost one reading in all. */
int vmas_find(Vmas *vmas, uint64_t address, uint64_t deadline_ns, Vma *ret_vma);
