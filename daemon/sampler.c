/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/sampler.h"

#include <errno.h>
#include <time.h>
#include <uthash.h>

#include "daemon/kernel/pagesample.h"
#include "daemon/kernel/process.h"
#include "daemon/timer.h"
#include "policy/macro.h"

/* Looks in each window. What moves twice between two of them is not seen. */
#define LOOKS_PER_WINDOW 4u
#define INTERVAL_MIN     UINT64_C(1000000)
#define INTERVAL_MAX     UINT64_C(30000000)

/* One part in so many of a processor may be spent on all looks, and on choosing one's pages anew. */
#define COST_SHARE   200u
#define CHOICE_SHARE 1000u

/* Pages of one sample, and of all: 24 bytes each. */
#define PAGES_EACH     ((size_t)3072)
#define PAGES_EACH_MIN ((size_t)64)
#define PAGES_TOGETHER ((size_t)262144)

/* So long in one turn of the event loop. */
#define TURN_USEC UINT64_C(5000)

/* Pages are chosen anew when the memory has grown or shrunk by such a part, or one of the pages is gone. */
#define CHANGE_PART 8u

typedef struct Sampling {
        pid_t pid;
        uint64_t start_time;
        uint64_t window_usec;
        bool has_ended;
        uint64_t due_usec;
        uint64_t cost_usec; /* of the last look */
        Sample sample;
        uint64_t n_pages_chosen_of; /* the process had so many then; 0: none are chosen */
        uint64_t rechoose_usec;     /* not before */
        SampleCount count;
        UT_hash_handle hh;
} Sampling;

struct Sampler {
        sd_event *event;
        int proc_fd;
        const Tiers *tiers;
        Sampling *by_pid;
        uint64_t cost_usec; /* of the last looks at all of them */
        SampleCount total;
        sd_event_source *timer;
        int nodes[SAMPLE_PAGES_MAX];
};

static uint64_t usec_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void sampling_free(Sampler *sampler, Sampling *sampling)
{
        HASH_DEL(sampler->by_pid, sampling);
        sampler->cost_usec -= sampling->cost_usec;
        sample_deinit(&sampling->sample);
        free(sampling);
}

static size_t pages_each(const Sampler *sampler)
{
        size_t n = PAGES_TOGETHER / HASH_COUNT(sampler->by_pid);

        return n > PAGES_EACH ? PAGES_EACH : n < PAGES_EACH_MIN ? PAGES_EACH_MIN : n;
}

static bool is_much(uint64_t change, uint64_t of)
{
        return change > of / CHANGE_PART;
}

/* Whether the sample stands for the memory that the process has now. */
static bool is_outdated(const Sampling *sampling, uint64_t n_pages)
{
        uint64_t before = sampling->n_pages_chosen_of;
        size_t present = sample_present(&sampling->sample);

        return before == 0 ||
               is_much(n_pages > before ? n_pages - before : before - n_pages, before) ||
               is_much(sampling->sample.n_pages - present, sampling->sample.n_pages);
}

static int choose(const Sampler *sampler, int process_fd, Sampling *sampling, uint64_t now_usec)
{
        int r;

        r = page_sample_choose(process_fd, sampling->pid, pages_each(sampler), &sampling->sample,
                               &sampling->n_pages_chosen_of);
        sampling->rechoose_usec = usec_now() + (usec_now() - now_usec) * CHOICE_SHARE;
        return r;
}

static int look(Sampler *sampler, int process_fd, Sampling *sampling, uint64_t now_usec)
{
        SampleCount *count = &sampling->count, *total = &sampler->total, seen = {};
        uint64_t n_pages = 0, start_time;
        int r;

        r = page_sample_count(process_fd, &n_pages);
        if (r >= 0 && now_usec >= sampling->rechoose_usec && is_outdated(sampling, n_pages))
                r = choose(sampler, process_fd, sampling, now_usec);
        if (r >= 0)
                r = page_sample_look(sampling->pid, &sampling->sample, sampler->nodes);
        /* It lives now, so the number has been its all the time. */
        if (r >= 0)
                r = process_start_time(process_fd, &start_time);
        if (r >= 0 && start_time != sampling->start_time)
                r = -ESRCH;
        if (r < 0)
                return r;

        sample_note(&sampling->sample, sampler->nodes, sampler->tiers, now_usec,
                    sampling->window_usec, &seen);
        sample_count_add(count, &seen);
        sample_count_add(total, &seen);
        return 0;
}

static uint64_t interval_of(const Sampler *sampler, const Sampling *sampling)
{
        uint64_t interval = sampling->window_usec / LOOKS_PER_WINDOW;
        uint64_t least = sampler->cost_usec * COST_SHARE;

        if (interval > INTERVAL_MAX)
                interval = INTERVAL_MAX;
        if (interval < INTERVAL_MIN)
                interval = INTERVAL_MIN;
        return interval < least ? least : interval;
}

static void sampling_look(Sampler *sampler, Sampling *sampling)
{
        _cleanup_(closep) int process_fd = -1;
        uint64_t now = usec_now(), cost;
        int r;

        r = process_open(sampler->proc_fd, sampling->pid, &process_fd);
        if (r >= 0)
                r = look(sampler, process_fd, sampling, now);
        sampling->has_ended = r == -ESRCH;

        cost = usec_now() - now;
        sampler->cost_usec += cost - sampling->cost_usec;
        sampling->cost_usec = cost;
        sampling->due_usec = now + interval_of(sampler, sampling);
}

static Sampling *next_due(const Sampler *sampler)
{
        Sampling *next = NULL;

        for (Sampling *sampling = sampler->by_pid; sampling; sampling = sampling->hh.next)
                if (!sampling->has_ended && (!next || sampling->due_usec < next->due_usec))
                        next = sampling;
        return next;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static int sampler_arm(Sampler *sampler, uint64_t due_usec)
{
        static const TimerKind kind = { "sampler", on_timer, 0 };

        return timer_set(sampler->event, &sampler->timer, due_usec, &kind, sampler);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Sampler *sampler = userdata;
        uint64_t began = usec_now(), now = began;
        Sampling *next;

        while ((next = next_due(sampler)) && next->due_usec <= now && now - began < TURN_USEC) {
                sampling_look(sampler, next);
                now = usec_now();
        }
        if (next)
                return sampler_arm(sampler, next->due_usec);

        sampler->timer = sd_event_source_disable_unref(sampler->timer);
        return 0;
}

int sampler_new(sd_event *event, int proc_fd, const Tiers *tiers, Sampler **ret_sampler)
{
        Sampler *sampler = calloc(1, sizeof(*sampler));

        if (!sampler)
                return -ENOMEM;

        sampler->event = sd_event_ref(event);
        sampler->proc_fd = proc_fd;
        sampler->tiers = tiers;
        *ret_sampler = sampler;
        return 0;
}

Sampler *sampler_free(Sampler *sampler)
{
        Sampling *sampling, *next;

        if (!sampler)
                return NULL;

        HASH_ITER (hh, sampler->by_pid, sampling, next)
                sampling_free(sampler, sampling);
        sd_event_source_disable_unref(sampler->timer);
        sd_event_unref(sampler->event);
        free(sampler);
        return NULL;
}

void sampler_freep(Sampler **sampler)
{
        sampler_free(*sampler);
}

static Sampling *sampling_find(const Sampler *sampler, pid_t pid)
{
        Sampling *sampling;

        HASH_FIND_INT(sampler->by_pid, &pid, sampling);
        return sampling;
}

static int sampling_new(Sampler *sampler, pid_t pid, uint64_t start_time, Sampling **ret_sampling)
{
        Sampling *sampling = calloc(1, sizeof(*sampling));

        if (!sampling)
                return -ENOMEM;

        *sampling = (Sampling){
                .pid = pid,
                .start_time = start_time,
                .sample.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
        };
        HASH_ADD_INT(sampler->by_pid, pid, sampling);
        if (!sampling->hh.tbl) { /* uthash could not grow */
                free(sampling);
                return -ENOMEM;
        }
        *ret_sampling = sampling;
        return 0;
}

int sampler_want(Sampler *sampler, pid_t pid, uint64_t start_time, uint64_t window_usec)
{
        Sampling *sampling = sampling_find(sampler, pid);
        int r;

        if (window_usec == 0)
                window_usec = SAMPLER_WINDOW_USEC;
        if (sampling && sampling->start_time != start_time) {
                sampling_free(sampler, sampling);
                sampling = NULL;
        }
        if (sampling && sampling->window_usec == window_usec)
                return 0;

        if (!sampling) {
                r = sampling_new(sampler, pid, start_time, &sampling);
                if (r < 0)
                        return r;
        }
        sampling->window_usec = window_usec;
        sampling->due_usec = usec_now();
        return sampler_arm(sampler, sampling->due_usec);
}

void sampler_leave(Sampler *sampler, pid_t pid)
{
        Sampling *sampling = sampling_find(sampler, pid);

        if (sampling)
                sampling_free(sampler, sampling);
        if (!sampler->by_pid)
                sampler->timer = sd_event_source_disable_unref(sampler->timer);
}

SampleCount sampler_count(const Sampler *sampler, pid_t pid)
{
        const Sampling *sampling = sampling_find(sampler, pid);

        return sampling ? sampling->count : (SampleCount){};
}

SampleCount sampler_total(const Sampler *sampler)
{
        return sampler->total;
}
