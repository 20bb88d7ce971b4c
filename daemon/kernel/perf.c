/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "policy/macro.h"

static struct perf_event_mmap_page *ring_page(const PerfRing *ring)
{
        return ring->map;
}

static size_t page_size(void)
{
        return (size_t)sysconf(_SC_PAGESIZE);
}

/* A count of nothing, for which the kernel has no work beyond the records. Both kinds of event must have
 * the same clock to share a ring. Leaving out the kernel asks for fewer rights and costs no record. */
static struct perf_event_attr attributes_of(bool records, unsigned wakeup_bytes)
{
        return (struct perf_event_attr){
                .type = PERF_TYPE_SOFTWARE,
                .size = sizeof(struct perf_event_attr),
                .config = PERF_COUNT_SW_DUMMY,
                .sample_type = PERF_SAMPLE_TIME,
                .sample_id_all = 1,
                .use_clockid = 1,
                .clockid = CLOCK_MONOTONIC,
                .exclude_kernel = 1,
                .exclude_hv = 1,
                .watermark = 1,
                .wakeup_watermark = wakeup_bytes,
                .disabled = !records,
                .mmap = records,
                .mmap_data = records,
                .mmap2 = records,
                .comm = records,
                .comm_exec = records,
                .task = records,
        };
}

int perf_ring_open(unsigned cpu, unsigned pages, unsigned wakeup_bytes, PerfRing *ret_ring)
{
        struct perf_event_attr attributes = attributes_of(false, wakeup_bytes);
        size_t map_size = (size_t)(pages + 1) * page_size();
        _cleanup_(closep) int fd = -1;
        void *map;

        fd = (int)syscall(SYS_perf_event_open, &attributes, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0)
                return errno == ENOSYS ? -EOPNOTSUPP : -errno;

        map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                return -errno;

        *ret_ring = (PerfRing){
                .cpu = cpu,
                .fd = TAKE_FD(fd),
                .map = map,
                .map_size = map_size,
        };
        return 0;
}

void perf_ring_close(PerfRing *ring)
{
        if (ring->map)
                munmap(ring->map, ring->map_size);
        closep(&ring->fd);
        *ring = PERF_RING_NONE;
}

int perf_cgroup_open(const PerfRing *ring, int cgroup_fd, int *ret_fd)
{
        struct perf_event_attr attributes = attributes_of(true, 1); /* its ring decides who wakes */
        _cleanup_(closep) int fd = -1;

        /* Born silent: what it wrote before it had the ring would be lost without a word. */
        attributes.disabled = 1;
        fd = (int)syscall(SYS_perf_event_open, &attributes, cgroup_fd, (int)ring->cpu, -1,
                          PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);
        if (fd < 0)
                return errno == ENOSYS || errno == EINVAL || errno == EBADF ? -EOPNOTSUPP : -errno;
        if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) < 0)
                return -errno;
        if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
                return -errno;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

void perf_cgroup_close(int fd)
{
        (void)ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
        close(fd);
}

static uint64_t ring_head(const PerfRing *ring)
{
        return __atomic_load_n(&ring_page(ring)->data_head, __ATOMIC_ACQUIRE);
}

void perf_ring_release(PerfRing *ring)
{
        uint64_t before = ring->published;

        if (ring->tail == before)
                return;

        __atomic_store_n(&ring_page(ring)->data_tail, ring->tail, __ATOMIC_RELEASE);
        ring->published = ring->tail;

        /* A record was lost if it did not fit behind a head that was no further on than it is after this
         * barrier, in front of the tail as it was before. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_head(ring) - before + PERF_RECORD_SIZE_MAX > ring_page(ring)->data_size)
                ring->lossy = true;
}

int perf_ring_next(PerfRing *ring, PerfRecord *ret_record)
{
        const struct perf_event_mmap_page *page = ring_page(ring);
        const char *records = (const char *)ring->map + page->data_offset;

        for (;;) {
                uint64_t head = ring_head(ring);
                int r;

                r = perf_record_take(records, (size_t)page->data_size, head, &ring->tail,
                                     ret_record);
                if (r > 0)
                        return 1;
                if (r < 0) {
                        /* No way to tell where the next record begins. */
                        ring->tail = head;
                        ring->lossy = true;
                }

                if (ring->tail == ring->published && !ring->lossy)
                        return 0;
                perf_ring_release(ring);
                if (ring->lossy) {
                        ring->lossy = false;
                        *ret_record = (PerfRecord){ .kind = PERF_LOST };
                        return 1;
                }
        }
}
