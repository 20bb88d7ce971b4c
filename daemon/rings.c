/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-device.h>
#include <time.h>
#include <unistd.h>

#include "daemon/hearing.h"
#include "daemon/kernel/cpu.h"
#include "policy/macro.h"

/* What one turn takes from a ring before the event loop goes on: the bus and the watchdog wait. */
#define TURN_RECORDS_MAX 256u

/* Rings are locked memory. Of many CPUs few are busy at a time: each gets less, 32 MiB (with small
 * pages) in all. */
#define RINGS_PAGES_MAX 8192u
#define RING_PAGES_MIN  8u

/* In a flood, of which most concerns nobody, to wake us for each record would cost those who make them more
 * than all else about it. Then the records of that CPU go to a ring, as large, that wakes us when it is half
 * full, and is looked at every so often. */
#define WINDOW_USEC   UINT64_C(100000)
#define FLOOD_RECORDS 200u
#define CALM_RECORDS  50u
#define LOOK_USEC     UINT64_C(5000)

typedef struct Ring Ring;

struct Ring {
        Rings *rings;
        PerfRing perf;
        sd_event_source *records;
        sd_event_source *rest; /* another turn, for what is left after the last */

        PerfRing quiet; /* what a flood goes to; not there before the first */
        sd_event_source *quiet_records;
        sd_event_source *look;
        bool is_flooded;
        uint64_t window_usec; /* when it began */
        unsigned n_window;    /* records in it */

        bool dead; /* will never be readable again */
};

struct Rings {
        sd_event *event;
        int sys_fd;
        rings_fn fn;
        void *userdata;
        Ring **rings;
        size_t n_rings;
        Hearing *hearings;
        sd_device_monitor *monitor;
};

static void ring_free(Ring *ring)
{
        if (!ring)
                return;

        sd_event_source_disable_unref(ring->records);
        sd_event_source_disable_unref(ring->rest);
        sd_event_source_disable_unref(ring->quiet_records);
        sd_event_source_disable_unref(ring->look);
        perf_ring_close(&ring->perf);
        perf_ring_close(&ring->quiet);
        free(ring);
}

static void ring_freep(Ring **ring)
{
        ring_free(*ring);
}

static int on_records(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static int on_look(sd_event_source *source, uint64_t usec, void *userdata);

static int quiet_open(Ring *ring)
{
        sd_event *event = ring->rings->event;
        unsigned bytes = (unsigned)ring->perf.map_size, page = (unsigned)sysconf(_SC_PAGESIZE);
        int r;

        if (ring->quiet.map)
                return 0;
        if (!ring->look) {
                r = sd_event_add_time(event, &ring->look, CLOCK_MONOTONIC, UINT64_MAX, 1, on_look,
                                      ring);
                if (r >= 0)
                        r = sd_event_source_set_description(ring->look, "watch-flood");
                if (r >= 0)
                        r = sd_event_source_set_exit_on_failure(ring->look, true);
                if (r < 0)
                        return r;
        }

        r = perf_ring_open(ring->perf.cpu, bytes / page - 1, bytes / 2, &ring->quiet);
        if (r >= 0)
                r = sd_event_add_io(event, &ring->quiet_records, ring->quiet.fd, EPOLLIN,
                                    on_records, ring);
        if (r >= 0)
                r = sd_event_source_set_description(ring->quiet_records, "watch-flood-records");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(ring->quiet_records, true);
        if (r < 0) {
                ring->quiet_records = sd_event_source_disable_unref(ring->quiet_records);
                perf_ring_close(&ring->quiet);
        }
        return r;
}

/* To the quiet ring, or back. After a failure some are in the one and some in the other: as in a flood, both are
 * looked at. */
static int ring_move(Ring *ring, bool is_flooded)
{
        const PerfRing *to = is_flooded ? &ring->quiet : &ring->perf;
        int r;

        r = quiet_open(ring);
        for (Hearing *hearing = ring->rings->hearings; r >= 0 && hearing; hearing = hearing->next)
                r = hearing_move_cpu(hearing, to);
        if (r < 0 && !ring->quiet.map)
                return 0; /* no room for another, then: it was tried */

        ring->is_flooded = is_flooded || r < 0;
        /* What came to the one before until now is taken at once, or at the next look. */
        r = sd_event_source_set_enabled(ring->rest, SD_EVENT_ONESHOT);
        if (r >= 0)
                r = sd_event_source_set_time_relative(ring->look, LOOK_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(ring->look,
                                                ring->is_flooded ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        return r;
}

/* Counts what came, and finds that a flood has begun or is over. */
static int ring_weigh(Ring *ring, unsigned n)
{
        uint64_t now;
        int r = sd_event_now(ring->rings->event, CLOCK_MONOTONIC, &now);

        if (r >= 0 && now - ring->window_usec >= WINDOW_USEC) {
                if (ring->is_flooded && ring->n_window < CALM_RECORDS)
                        r = ring_move(ring, false);
                ring->window_usec = now;
                ring->n_window = 0;
        }
        ring->n_window += n;
        if (r >= 0 && !ring->is_flooded && ring->n_window >= FLOOD_RECORDS) {
                ring->window_usec = now; /* so many more until it is tried again */
                ring->n_window = 0;
                r = ring_move(ring, true);
        }
        return r < 0 ? r : 0;
}

/* Takes @max records at most, and says how many. */
static unsigned ring_drain(const Rings *rings, PerfRing *perf, unsigned max, bool *lost)
{
        PerfRecord record;
        unsigned n = 0;

        while (n < max && perf_ring_next(perf, &record) > 0) {
                n++;
                if (record.kind == PERF_LOST)
                        *lost = true;
                else if (record.kind != PERF_OTHER)
                        rings->fn(&record, rings->userdata);
        }
        perf_ring_release(perf);
        return n;
}

static int ring_turn(Ring *ring)
{
        const Rings *rings = ring->rings;
        bool lost = false;
        unsigned n;
        int r;

        n = ring_drain(rings, &ring->perf, TURN_RECORDS_MAX, &lost);
        if (ring->quiet.map)
                n += ring_drain(rings, &ring->quiet, TURN_RECORDS_MAX - n, &lost);

        if (lost)
                rings->fn(&(PerfRecord){ .kind = PERF_LOST }, rings->userdata);
        r = ring_weigh(ring, n);
        if (r < 0)
                return r;
        if (n < TURN_RECORDS_MAX)
                return 0;

        /* The fd was readable for these records once and will not be again. */
        return sd_event_source_set_enabled(ring->rest, SD_EVENT_ONESHOT);
}

static int on_rest(sd_event_source *source, uint64_t usec, void *userdata)
{
        return ring_turn(userdata);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
        Ring *ring = userdata;
        int r = sd_event_source_set_time_relative(source, LOOK_USEC);

        if (r >= 0)
                r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return r < 0 ? r : ring_turn(ring);
}

static int on_records(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Ring *ring = userdata;

        /* An fd that hung up would not let the loop sleep. */
        if (revents & (EPOLLHUP | EPOLLERR)) {
                ring->dead = true;
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }

        return ring_turn(ring);
}

static const PerfRing *ring_current(const Ring *ring)
{
        return ring->is_flooded ? &ring->quiet : &ring->perf;
}

static unsigned ring_pages(size_t n_cpus)
{
        unsigned pages = PERF_RING_PAGES;

        while (pages > RING_PAGES_MIN && pages * n_cpus > RINGS_PAGES_MAX)
                pages /= 2;
        return pages;
}

static int ring_new(Rings *rings, unsigned cpu, unsigned pages, Ring **ret_ring)
{
        _cleanup_(ring_freep) Ring *ring = NULL;
        int r;

        ring = malloc(sizeof(*ring));
        if (!ring)
                return -ENOMEM;
        *ring = (Ring){ .rings = rings, .perf = PERF_RING_NONE, .quiet = PERF_RING_NONE };

        r = perf_ring_open(cpu, pages, 1, &ring->perf);
        if (r >= 0)
                r = sd_event_add_io(rings->event, &ring->records, ring->perf.fd, EPOLLIN,
                                    on_records, ring);
        if (r >= 0)
                r = sd_event_source_set_description(ring->records, "watch-records");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(ring->records, true);
        /* Also the first turn: epoll asks an fd whether it is readable when it is added, and once it was
         * asked, it is not. A timer of long ago, as sd-event lets a defer source that is enabled anew keep
         * its place before all others. */
        if (r >= 0)
                r = sd_event_add_time(rings->event, &ring->rest, CLOCK_MONOTONIC, 0, 1, on_rest,
                                      ring);
        if (r >= 0)
                r = sd_event_source_set_description(ring->rest, "watch-records-rest");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(ring->rest, true);
        if (r < 0)
                return r;

        *ret_ring = TAKE_PTR(ring);
        return 0;
}

int rings_add(Rings *rings, int cgroup_fd, Hearing **ret_hearing)
{
        _cleanup_(hearing_freep) Hearing *hearing = NULL;
        int r;

        r = hearing_new(cgroup_fd, &hearing);
        for (size_t i = 0; r >= 0 && i < rings->n_rings; i++)
                r = hearing_add_cpu(hearing, ring_current(rings->rings[i]));
        if (r < 0)
                return r;

        hearing->next = rings->hearings;
        rings->hearings = hearing;
        *ret_hearing = TAKE_PTR(hearing);
        return 0;
}

void rings_remove(Rings *rings, Hearing *hearing)
{
        for (Hearing **at = &rings->hearings; *at; at = &(*at)->next)
                if (*at == hearing) {
                        *at = hearing->next;
                        hearing_free(hearing);
                        return;
                }
}

static Ring *rings_find(const Rings *rings, unsigned cpu)
{
        for (size_t i = 0; i < rings->n_rings; i++)
                if (rings->rings[i]->perf.cpu == cpu)
                        return rings->rings[i];
        return NULL;
}

static void rings_drop_cpu(Rings *rings, unsigned cpu)
{
        for (Hearing *hearing = rings->hearings; hearing; hearing = hearing->next)
                hearing_drop_cpu(hearing, cpu);

        for (size_t i = 0; i < rings->n_rings; i++)
                if (rings->rings[i]->perf.cpu == cpu) {
                        ring_free(rings->rings[i]);
                        rings->rings[i] = rings->rings[--rings->n_rings];
                        return;
                }
}

/* A new ring, if there is none, and the events that it lacks: 1 if there was something to add. */
static int rings_add_cpu(Rings *rings, unsigned cpu, unsigned pages)
{
        Ring *ring = rings_find(rings, cpu), **larger;
        bool added = !ring;
        int r;

        if (!ring) {
                larger = reallocarray(rings->rings, rings->n_rings + 1, sizeof(*larger));
                if (!larger)
                        return -ENOMEM;
                rings->rings = larger;

                r = ring_new(rings, cpu, pages, &ring);
                if (r < 0)
                        return r == -ENODEV ? 0 : r;
                rings->rings[rings->n_rings++] = ring;
        }

        for (Hearing *hearing = rings->hearings; hearing; hearing = hearing->next) {
                r = hearing_add_cpu(hearing, ring_current(ring));
                if (r < 0)
                        return r;
                added = added || r > 0;
        }
        return added;
}

static bool is_among(unsigned cpu, const unsigned *cpus, size_t n_cpus)
{
        for (size_t i = 0; i < n_cpus; i++)
                if (cpus[i] == cpu)
                        return true;
        return false;
}

int rings_refresh(Rings *rings)
{
        _cleanup_(freep) unsigned *cpus = NULL;
        size_t n_cpus = 0;
        int r, n_added = 0;

        r = cpus_read_online(rings->sys_fd, &cpus, &n_cpus);
        if (r < 0)
                return r;

        for (size_t i = rings->n_rings; i > 0; i--) {
                const Ring *ring = rings->rings[i - 1];

                if (ring->dead || !is_among(ring->perf.cpu, cpus, n_cpus))
                        rings_drop_cpu(rings, ring->perf.cpu);
        }

        for (size_t i = 0; i < n_cpus; i++) {
                r = rings_add_cpu(rings, cpus[i], ring_pages(n_cpus));
                if (r < 0)
                        return r;
                n_added += r;
        }
        return n_added;
}

/* The kernel takes a CPU's events from it when it goes offline and does not give them back. So even one
 * that is online again by now needs new ones. */
static int on_cpu(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
        Rings *rings = userdata;
        sd_device_action_t action;
        const char *number;
        unsigned cpu;
        Ring *ring;

        if (sd_device_get_action(device, &action) < 0 || sd_device_get_sysnum(device, &number) < 0)
                return 0;

        cpu = (unsigned)strtoul(number, NULL, 10);
        if (action == SD_DEVICE_OFFLINE || action == SD_DEVICE_REMOVE) {
                ring = rings_find(rings, cpu);
                if (ring)
                        ring_turn(ring);
                rings_drop_cpu(rings, cpu);
        }

        /* A failure is tried again, and told, by the next rings_refresh(). */
        if (rings_refresh(rings) > 0)
                rings->fn(&(PerfRecord){ .kind = PERF_LOST }, rings->userdata);
        return 0;
}

static int monitor_add(Rings *rings)
{
        sd_event_source *source;
        int r;

        r = sd_device_monitor_new(&rings->monitor);
        if (r >= 0)
                r = sd_device_monitor_filter_add_match_subsystem_devtype(rings->monitor, "cpu",
                                                                         NULL);
        if (r >= 0)
                r = sd_device_monitor_attach_event(rings->monitor, rings->event);
        if (r >= 0)
                r = sd_device_monitor_start(rings->monitor, on_cpu, rings);
        if (r < 0)
                return r;

        source = sd_device_monitor_get_event_source(rings->monitor);
        r = sd_event_source_set_description(source, "watch-cpus");
        return r < 0 ? r : sd_event_source_set_exit_on_failure(source, true);
}

int rings_new(sd_event *event, int sys_fd, rings_fn fn, void *userdata, Rings **ret_rings)
{
        _cleanup_(rings_freep) Rings *rings = NULL;
        int r;

        rings = malloc(sizeof(*rings));
        if (!rings)
                return -ENOMEM;
        *rings = (Rings){
                .event = sd_event_ref(event),
                .sys_fd = sys_fd,
                .fn = fn,
                .userdata = userdata,
        };

        /* First the news, then the state. */
        r = monitor_add(rings);
        if (r >= 0)
                r = rings_refresh(rings);
        if (r < 0)
                return r;

        *ret_rings = TAKE_PTR(rings);
        return 0;
}

void rings_free(Rings *rings)
{
        if (!rings)
                return;

        sd_device_monitor_unref(rings->monitor);
        while (rings->hearings)
                rings_remove(rings, rings->hearings);
        for (size_t i = 0; i < rings->n_rings; i++)
                ring_free(rings->rings[i]);
        free(rings->rings);
        sd_event_unref(rings->event);
        free(rings);
}

void rings_freep(Rings **rings)
{
        rings_free(*rings);
}
