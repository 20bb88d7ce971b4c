/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/perfrecord.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>

#include "policy/macro.h"

/* The bodies, behind the header. With sample_id_all and PERF_SAMPLE_TIME alone, each record ends
 * with its time. */
struct MapBody {
        uint32_t pid, tid;
        uint64_t address, length, offset;
        uint32_t dev_major, dev_minor;
        uint64_t inode, inode_generation;
        uint32_t prot, flags;
        /* the file's name */
};

struct TaskBody {
        uint32_t pid, parent;
        uint32_t tid, parent_tid;
        uint64_t time;
};

struct CommBody {
        uint32_t pid, tid;
        /* the name */
};

struct LostBody {
        uint64_t id;
        uint64_t lost;
};

/* Copies bytes out of the ring; they may go round its end. */
static void ring_copy(const void *ring, size_t size, uint64_t at, void *to, size_t length)
{
        size_t start = (size_t)(at & (size - 1)), first = size - start;

        if (first > length)
                first = length;
        memcpy(to, (const char *)ring + start, first);
        memcpy((char *)to + first, ring, length - first);
}

static void decode_map(const struct MapBody *body, PerfRecord *record)
{
        record->kind = PERF_MAP;
        record->pid = (pid_t)body->pid;
        record->address = body->address;
        record->length = body->length;
        record->offset = body->offset;
        record->inode = body->inode;
        record->dev_major = body->dev_major;
        record->dev_minor = body->dev_minor;
        record->prot = body->prot;
        record->private = (body->flags & MAP_TYPE) == MAP_PRIVATE;
}

/* A record is written for each thread. Of threads only the first one matters, whose id is that of
 * the process. */
static void decode_task(uint32_t type, const struct TaskBody *body, PerfRecord *record)
{
        record->pid = (pid_t)body->pid;
        if (type == PERF_RECORD_EXIT) {
                if (body->tid == body->pid)
                        record->kind = PERF_EXIT;
        } else if (body->pid != body->parent) {
                record->kind = PERF_FORK;
                record->parent = (pid_t)body->parent;
        }
}

/* The least that a record of this type must hold behind its header, to be read as one. */
static size_t body_size(uint32_t type)
{
        switch (type) {
        case PERF_RECORD_MMAP2:
                return sizeof(struct MapBody);
        case PERF_RECORD_FORK:
        case PERF_RECORD_EXIT:
                return sizeof(struct TaskBody);
        case PERF_RECORD_COMM:
                return sizeof(struct CommBody);
        case PERF_RECORD_LOST:
                return sizeof(struct LostBody);
        case PERF_RECORD_LOST_SAMPLES:
                return sizeof(uint64_t);
        default:
                return 0;
        }
}

int perf_record_take(const void *ring, size_t size, uint64_t head, uint64_t *tail,
                     PerfRecord *ret_record)
{
        union {
                struct MapBody map;
                struct TaskBody task;
                struct CommBody comm;
                struct LostBody lost;
                uint64_t lost_samples;
        } body = {};
        struct perf_event_header header;
        PerfRecord record = { .kind = PERF_OTHER };
        uint64_t used = head - *tail;
        size_t needed;

        if (used == 0)
                return 0;
        if (used > size || used < sizeof(header))
                return -EBADMSG;

        ring_copy(ring, size, *tail, &header, sizeof(header));
        needed = body_size(header.type);
        if (header.size > used || header.size % sizeof(uint64_t) != 0 ||
            header.size < sizeof(header) + needed + sizeof(record.time_ns))
                return -EBADMSG;

        ring_copy(ring, size, *tail + sizeof(header), &body, needed);
        ring_copy(ring, size, *tail + header.size - sizeof(record.time_ns), &record.time_ns,
                  sizeof(record.time_ns));

        switch (header.type) {
        case PERF_RECORD_MMAP2:
                decode_map(&body.map, &record);
                break;
        case PERF_RECORD_FORK:
        case PERF_RECORD_EXIT:
                decode_task(header.type, &body.task, &record);
                break;
        case PERF_RECORD_COMM:
                record.pid = (pid_t)body.comm.pid;
                if (header.misc & PERF_RECORD_MISC_COMM_EXEC)
                        record.kind = PERF_EXEC;
                break;
        case PERF_RECORD_LOST:
                record.kind = PERF_LOST;
                record.lost = body.lost.lost;
                break;
        case PERF_RECORD_LOST_SAMPLES:
                record.kind = PERF_LOST;
                record.lost = body.lost_samples;
                break;
        }

        /* The kernel writes 0 for a process of another pid namespace, -1 for one that is all but gone. */
        if (record.kind != PERF_LOST && record.pid <= 0)
                record.kind = PERF_OTHER;

        *tail += header.size;
        *ret_record = record;
        return 1;
}
