/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Records of a perf ring buffer (perf_event_open(2), "Ring-buffer layout"), as the events of
 * perf.h write them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The largest record that the kernel writes for us: MMAP2 with a name of PATH_MAX. */
#define PERF_RECORD_SIZE_MAX (4096u + 256u)

typedef struct PerfRecord PerfRecord;

typedef enum PerfRecordKind {
        PERF_OTHER, /* of no interest: a name given without an exec, a thread that begins or ends */
        PERF_MAP,
        PERF_FORK,
        PERF_EXEC,
        PERF_EXIT,
        PERF_LOST,
} PerfRecordKind;

struct PerfRecord {
        PerfRecordKind kind;
        pid_t pid;        /* thread group; of PERF_FORK the child's */
        pid_t parent;     /* PERF_FORK */
        uint64_t time_ns; /* CLOCK_MONOTONIC */

        /* PERF_MAP. Also written for mprotect(), then for each VMA that it makes. */
        uint64_t address;
        uint64_t length;
        uint64_t offset; /* in the file, bytes */
        uint64_t inode;  /* 0: anonymous, stack, vdso */
        uint32_t
                dev_major; /* of the filesystem, as in maps: btrfs and overlayfs differ from stat() */
        uint32_t dev_minor;
        unsigned prot; /* PROT_* */
        bool private;

        uint64_t lost; /* PERF_LOST: how many records, 0: unknown */
};

/* Takes the record at *@tail, of a ring whose writer has got to @head: both are counts of bytes
 * that never wrap, @size is a power of two. Returns 1 and moves *@tail behind the record, or 0 if there is
 * none. -EBADMSG: no such record can be there; the ring is good for nothing up to @head. */
int perf_record_take(const void *ring, size_t size, uint64_t head, uint64_t *tail,
                     PerfRecord *ret_record);
