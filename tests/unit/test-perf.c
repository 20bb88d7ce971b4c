/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/kernel/perfrecord.h"
#include "policy/macro.h"

#define RING_SIZE 4096u

/* A ring written as the kernel does it. */
typedef struct Ring {
        uint8_t bytes[RING_SIZE];
        uint64_t head;
        uint64_t tail;
} Ring;

static void ring_write(Ring *ring, const void *bytes, size_t length)
{
        for (size_t i = 0; i < length; i++)
                ring->bytes[(ring->head + i) % RING_SIZE] = ((const uint8_t *)bytes)[i];
        ring->head += length;
}

/* A record, with its time at the end. */
static void ring_add(Ring *ring, uint32_t type, uint16_t misc, const void *body, size_t length)
{
        struct perf_event_header header = { .type = type, .misc = misc };
        uint64_t time = UINT64_C(0x1122334455667788);

        header.size = (uint16_t)(sizeof(header) + length + sizeof(time));
        ring_write(ring, &header, sizeof(header));
        ring_write(ring, body, length);
        ring_write(ring, &time, sizeof(time));
}

/* As perf_event_open(2) gives it. */
struct mmap2 {
        uint32_t pid, tid;
        uint64_t addr, len, pgoff;
        uint32_t maj, min;
        uint64_t ino, ino_generation;
        uint32_t prot, flags;
        char filename[16];
};

static const struct mmap2 mapping = {
        .pid = 7,
        .tid = 8,
        .addr = 0x7f0000000000,
        .len = 0x200000,
        .pgoff = 0x3000,
        .maj = 259,
        .min = 3,
        .ino = 12345678901,
        .ino_generation = 99,
        .prot = PROT_READ | PROT_WRITE,
        .flags = MAP_PRIVATE | MAP_NORESERVE,
        .filename = "/mnt/pmem/image",
};

static int ring_take(Ring *ring, PerfRecord *ret_record)
{
        return perf_record_take(ring->bytes, RING_SIZE, ring->head, &ring->tail, ret_record);
}

static void assert_mapping(const PerfRecord *record)
{
        cr_assert_eq(record->kind, PERF_MAP);
        cr_assert_eq(record->pid, 7);
        cr_assert_eq(record->time_ns, UINT64_C(0x1122334455667788));
        cr_assert_eq(record->address, mapping.addr);
        cr_assert_eq(record->length, mapping.len);
        cr_assert_eq(record->offset, mapping.pgoff);
        cr_assert_eq(record->inode, mapping.ino);
        cr_assert_eq(record->dev_major, 259);
        cr_assert_eq(record->dev_minor, 3);
        cr_assert_eq(record->prot, PROT_READ | PROT_WRITE);
        cr_assert(record->private);
}

Test(perf, a_mapping_is_read_wherever_the_ring_wraps)
{
        for (uint64_t start = 0; start < 2 * RING_SIZE; start += 8) {
                Ring ring = { .head = start, .tail = start };
                PerfRecord record = {};

                ring_add(&ring, PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_DATA, &mapping,
                         sizeof(mapping));
                cr_assert_eq(ring_take(&ring, &record), 1);
                assert_mapping(&record);
                cr_assert_eq(ring.tail, ring.head);
                cr_assert_eq(ring_take(&ring, &record), 0);
        }
}

Test(perf, the_counts_of_bytes_may_wrap)
{
        Ring ring = { .head = UINT64_MAX - 39, .tail = UINT64_MAX - 39 };
        PerfRecord record = {};

        ring_add(&ring, PERF_RECORD_MMAP2, 0, &mapping, sizeof(mapping));
        cr_assert_lt(ring.head, ring.tail);
        cr_assert_eq(ring_take(&ring, &record), 1);
        assert_mapping(&record);
}

Test(perf, shared_is_not_private)
{
        const uint32_t flags[] = { MAP_SHARED, MAP_SHARED_VALIDATE };

        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                struct mmap2 shared = mapping;
                Ring ring = {};
                PerfRecord record = {};

                shared.flags = flags[i] | MAP_SYNC;
                ring_add(&ring, PERF_RECORD_MMAP2, 0, &shared, sizeof(shared));
                cr_assert_eq(ring_take(&ring, &record), 1);
                cr_assert_eq(record.kind, PERF_MAP);
                cr_assert_not(record.private);
        }
}

struct task {
        uint32_t pid, ppid, tid, ptid;
        uint64_t time;
};

static PerfRecord take_task(uint32_t type, struct task task)
{
        Ring ring = {};
        PerfRecord record = {};

        ring_add(&ring, type, 0, &task, sizeof(task));
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(ring.tail, ring.head);
        return record;
}

Test(perf, processes_not_threads)
{
        PerfRecord record = take_task(PERF_RECORD_FORK, (struct task){ 7, 5, 7, 6, 1 });

        cr_assert_eq(record.kind, PERF_FORK);
        cr_assert_eq(record.pid, 7);
        cr_assert_eq(record.parent, 5);
        cr_assert_eq(take_task(PERF_RECORD_FORK, (struct task){ 7, 7, 9, 7, 1 }).kind, PERF_OTHER);

        record = take_task(PERF_RECORD_EXIT, (struct task){ 7, 5, 7, 5, 1 });
        cr_assert_eq(record.kind, PERF_EXIT);
        cr_assert_eq(record.pid, 7);
        cr_assert_eq(take_task(PERF_RECORD_EXIT, (struct task){ 7, 5, 9, 5, 1 }).kind, PERF_OTHER);
}

Test(perf, a_process_that_has_no_pid_here_is_of_no_interest)
{
        cr_assert_eq(take_task(PERF_RECORD_FORK, (struct task){ 0, 5, 0, 5, 1 }).kind, PERF_OTHER);
        cr_assert_eq(take_task(PERF_RECORD_EXIT, (struct task){ ~0u, 5, ~0u, 5, 1 }).kind,
                     PERF_OTHER);
}

Test(perf, a_name_is_an_exec_only_if_the_kernel_says_so)
{
        const struct {
                uint32_t pid, tid;
                char name[16];
        } comm = { 7, 7, "qemu" };
        Ring ring = {};
        PerfRecord record = {};

        ring_add(&ring, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, &comm, sizeof(comm));
        ring_add(&ring, PERF_RECORD_COMM, 0, &comm, sizeof(comm));
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(record.kind, PERF_EXEC);
        cr_assert_eq(record.pid, 7);
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(record.kind, PERF_OTHER);
}

Test(perf, what_was_lost_is_told)
{
        const uint64_t lost[] = { 1, 500 }, samples = 3;
        Ring ring = {};
        PerfRecord record = {};

        ring_add(&ring, PERF_RECORD_LOST, 0, lost, sizeof(lost));
        ring_add(&ring, PERF_RECORD_LOST_SAMPLES, 0, &samples, sizeof(samples));
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(record.kind, PERF_LOST);
        cr_assert_eq(record.lost, 500);
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(record.kind, PERF_LOST);
        cr_assert_eq(record.lost, 3);
}

Test(perf, a_record_of_an_unknown_type_is_stepped_over)
{
        const char body[24] = "";
        Ring ring = {};
        PerfRecord record = {};

        ring_add(&ring, 4711, 0, body, sizeof(body));
        ring_add(&ring, PERF_RECORD_MMAP2, 0, &mapping, sizeof(mapping));
        cr_assert_eq(ring_take(&ring, &record), 1);
        cr_assert_eq(record.kind, PERF_OTHER);
        cr_assert_eq(ring_take(&ring, &record), 1);
        assert_mapping(&record);
}

Test(perf, hostile_sizes_are_refused_and_move_nothing)
{
        /* Every size that a header can name, for a ring that holds @held bytes of it. */
        const uint64_t held[] = { 8, 16, 96, 104, RING_SIZE };
        static const uint32_t types[] = { PERF_RECORD_MMAP2, PERF_RECORD_FORK, PERF_RECORD_EXIT,
                                          PERF_RECORD_COMM,  PERF_RECORD_LOST, 4711 };

        for (size_t i = 0; i < ARRAY_SIZE(held); i++)
                for (size_t j = 0; j < ARRAY_SIZE(types); j++)
                        for (unsigned size = 0; size <= UINT16_MAX; size++) {
                                struct perf_event_header header = { .type = types[j],
                                                                    .size = (uint16_t)size };
                                Ring ring = { .head = RING_SIZE - 8, .tail = RING_SIZE - 8 };
                                PerfRecord record = { .pid = 77 };
                                int r;

                                ring_write(&ring, &header, sizeof(header));
                                ring.head = ring.tail + held[i];
                                r = ring_take(&ring, &record);
                                if (r > 0) {
                                        cr_assert_leq(size, held[i]);
                                        cr_assert_geq(size, 16);
                                        cr_assert_eq(ring.tail, RING_SIZE - 8 + size);
                                        continue;
                                }
                                cr_assert_eq(r, -EBADMSG);
                                cr_assert_eq(ring.tail, RING_SIZE - 8);
                                cr_assert_eq(record.pid, 77);
                        }
}

Test(perf, a_record_too_short_for_its_type_is_refused)
{
        static const struct {
                uint32_t type;
                uint16_t least; /* header, body, time */
        } records[] = {
                { PERF_RECORD_MMAP2, 8 + 64 + 8 }, { PERF_RECORD_FORK, 8 + 24 + 8 },
                { PERF_RECORD_EXIT, 8 + 24 + 8 },  { PERF_RECORD_COMM, 8 + 8 + 8 },
                { PERF_RECORD_LOST, 8 + 16 + 8 },  { PERF_RECORD_LOST_SAMPLES, 8 + 8 + 8 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(records); i++)
                for (uint16_t missing = 0; missing <= 8; missing = (uint16_t)(missing + 8)) {
                        struct perf_event_header header = {
                                .type = records[i].type,
                                .size = (uint16_t)(records[i].least - missing),
                        };
                        Ring ring = {};
                        PerfRecord record;

                        ring_write(&ring, &header, sizeof(header));
                        ring.head = 256;
                        cr_assert_eq(ring_take(&ring, &record), missing ? -EBADMSG : 1, "type %u",
                                     records[i].type);
                }
}

Test(perf, more_than_the_ring_holds_is_refused)
{
        Ring ring = { .head = RING_SIZE + 8 };
        PerfRecord record;

        cr_assert_eq(ring_take(&ring, &record), -EBADMSG);
        ring.head = 4;
        cr_assert_eq(ring_take(&ring, &record), -EBADMSG);
}
