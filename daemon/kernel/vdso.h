/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vdso: the one piece of code and constants that every process of a machine has, byte for byte.
 * What an injected call needs in the target's memory is found there, because nothing may be written
 * there: a system call instruction, and a node mask. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/nodeset.h"

/* The largest vdso that we look at. x86-64 has 8 KiB, aarch64 the same. */
#define VDSO_SIZE_MAX ((size_t)64 * 1024)

typedef struct Vdso Vdso;

/* The caller's own. */
struct Vdso {
        const unsigned char *image;
        size_t size;
        size_t call; /* offset of a system call instruction */
};

/* -ENOTSUP: there is none, or without such an instruction. */
int vdso_own(Vdso *ret_vdso);

/* Where the process has its vdso. -ENOENT: it has none; -EAGAIN: not yet, it is just executing a program.
 * -ENOEXEC: a 32-bit or x32 program. */
int vdso_locate(int process_fd, uint64_t *ret_address);

/* Whether the process has the same image at @address. -EFAULT: not mapped there; -EMEDIUMTYPE: another image. */
int vdso_compare(const Vdso *vdso, pid_t tid, uint64_t address);

/* Offset and maxnode of a place in @image that, given to mbind(2), reads as exactly @nodes: the
 * kernel looks at one bit less than maxnode, so only the low bits up to the highest node have to
 * agree. -ENOENT: there is none. */
int vdso_find_nodes(const unsigned char *image, size_t size, const NodeSet *nodes,
                    size_t *ret_offset, unsigned *ret_maxnode);
