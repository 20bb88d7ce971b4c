/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/prefix.h"
#include "daemon/rings.h"
#include "policy/macro.h"

struct Watch {
        sd_event *event;
        int cgroup_root_fd;
        int sys_fd;
        watch_fn fn;
        void *userdata;
        bool anonymous;

        Rings *rings;
        Prefix **prefixes;
        size_t n_prefixes;

        sd_event_source *news; /* tells what is true below, from the event loop */
        bool has_lost;
        bool has_cgroups;
};

static void tell(const Watch *watch, WatchEventKind kind)
{
        watch->fn(&(WatchEvent){ .kind = kind }, watch->userdata);
}

static int on_news(sd_event_source *source, void *userdata)
{
        Watch *watch = userdata;

        /* First down, then told: what is told may lead to more. */
        if (watch->has_cgroups) {
                watch->has_cgroups = false;
                tell(watch, WATCH_CGROUPS);
        }
        if (watch->has_lost) {
                watch->has_lost = false;
                tell(watch, WATCH_LOST);
        }
        return 0;
}

static void on_map(const Watch *watch, const PerfRecord *record)
{
        bool anonymous = record->inode == 0;

        if (!record->private || (anonymous && !watch->anonymous))
                return;

        watch->fn(
                &(WatchEvent){
                        .kind = WATCH_MAP,
                        .pid = record->pid,
                        .time_ns = record->time_ns,
                        .address = record->address,
                        .length = record->length,
                        .offset = record->offset,
                        .inode = record->inode,
                        .dev_major = record->dev_major,
                        .dev_minor = record->dev_minor,
                        .prot = record->prot,
                        .private = true,
                        .anonymous = anonymous,
                },
                watch->userdata);
}

static void on_process(const Watch *watch, WatchEventKind kind, const PerfRecord *record)
{
        watch->fn(
                &(WatchEvent){
                        .kind = kind,
                        .pid = record->pid,
                        .parent = record->parent,
                        .time_ns = record->time_ns,
                },
                watch->userdata);
}

static void on_record(const PerfRecord *record, void *userdata)
{
        const Watch *watch = userdata;

        switch (record->kind) {
        case PERF_MAP:
                on_map(watch, record);
                break;
        case PERF_FORK:
                on_process(watch, WATCH_FORK, record);
                break;
        case PERF_EXEC:
                on_process(watch, WATCH_EXEC, record);
                break;
        case PERF_EXIT:
                on_process(watch, WATCH_EXIT, record);
                break;
        case PERF_LOST:
                tell(watch, WATCH_LOST);
                break;
        case PERF_OTHER:
                break;
        }
}

static void on_prefix(Prefix *prefix, int error, void *userdata)
{
        Watch *watch = userdata;

        if (error < 0) {
                log_event(LOG_WARNING, NULL, NULL, error,
                          "Cannot hear what happens in cgroup %s: %s. New mappings there wait for "
                          "the next regular check, which tries this again.",
                          prefix_path(prefix), strerror(-error));
                return;
        }

        watch->has_cgroups = true;
        (void)sd_event_source_set_enabled(watch->news, SD_EVENT_ONESHOT);
}

int watch_new(sd_event *event, int cgroup_root_fd, watch_fn fn, void *userdata, Watch **ret_watch)
{
        _cleanup_(watch_freep) Watch *watch = NULL;
        int r;

        watch = malloc(sizeof(*watch));
        if (!watch)
                return -ENOMEM;
        *watch = (Watch){
                .event = sd_event_ref(event),
                .cgroup_root_fd = cgroup_root_fd,
                .sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                .fn = fn,
                .userdata = userdata,
        };
        if (watch->sys_fd < 0)
                return -errno;

        r = sd_event_add_defer(event, &watch->news, on_news, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->news, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(watch->news, "watch-news");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(watch->news, true);
        if (r >= 0)
                r = rings_new(event, watch->sys_fd, on_record, watch, &watch->rings);
        if (r < 0)
                return r;

        *ret_watch = TAKE_PTR(watch);
        return 0;
}

static void prefixes_free(Prefix **prefixes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                prefix_free(prefixes[i]);
        free(prefixes);
}

Watch *watch_free(Watch *watch)
{
        if (!watch)
                return NULL;

        prefixes_free(watch->prefixes, watch->n_prefixes);
        rings_free(watch->rings);
        sd_event_source_disable_unref(watch->news);
        closep(&watch->sys_fd);
        sd_event_unref(watch->event);
        free(watch);
        return NULL;
}

void watch_freep(Watch **watch)
{
        watch_free(*watch);
}

void watch_set_anonymous(Watch *watch, bool anonymous)
{
        watch->anonymous = anonymous;
}

/* Whether another of them already includes it; of equal ones the first counts. */
static bool is_covered(char *const *prefixes, size_t n_prefixes, size_t i)
{
        for (size_t j = 0; j < n_prefixes; j++) {
                if (j == i || !prefix_covers(prefixes[j], prefixes[i]))
                        continue;
                if (strcmp(prefixes[j], prefixes[i]) != 0 || j < i)
                        return true;
        }
        return false;
}

static const Prefix *prefix_find(const Watch *watch, const char *path)
{
        for (size_t i = 0; i < watch->n_prefixes; i++)
                if (strcmp(prefix_path(watch->prefixes[i]), path) == 0)
                        return watch->prefixes[i];
        return NULL;
}

static int prefixes_look(const Watch *watch)
{
        int r = 0;

        for (size_t i = 0; i < watch->n_prefixes; i++) {
                int one = prefix_look(watch->prefixes[i]);

                if (r >= 0 && one < 0)
                        r = one;
        }
        return r;
}

/* Of those that are watched now: moves what is wanted to @set, behind the first @n. */
static size_t prefixes_keep(Watch *watch, char *const *prefixes, size_t n_prefixes, Prefix **set,
                            size_t n)
{
        for (size_t i = 0; i < n_prefixes; i++)
                for (size_t j = 0; j < watch->n_prefixes && !is_covered(prefixes, n_prefixes, i);
                     j++)
                        if (watch->prefixes[j] &&
                            strcmp(prefix_path(watch->prefixes[j]), prefixes[i]) == 0)
                                set[n++] = TAKE_PTR(watch->prefixes[j]);
        return n;
}

int watch_set(Watch *watch, char *const *prefixes, size_t n_prefixes)
{
        Prefix **set, **old = watch->prefixes;
        size_t n = 0, n_old = watch->n_prefixes;
        int r = 0;

        for (size_t i = 0; i < n_prefixes; i++)
                if (!prefix_is_valid(prefixes[i]))
                        return -EINVAL;

        set = calloc(n_prefixes + 1, sizeof(*set));
        if (!set)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n_prefixes; i++) {
                if (is_covered(prefixes, n_prefixes, i) || prefix_find(watch, prefixes[i]))
                        continue;
                r = prefix_new(watch->event, watch->rings, watch->cgroup_root_fd, prefixes[i],
                               on_prefix, watch, &set[n]);
                if (r >= 0)
                        n++;
        }
        if (r < 0) {
                prefixes_free(set, n);
                return r;
        }

        /* The new ones listen before the old ones stop: what is in both has no gap. */
        watch->n_prefixes = prefixes_keep(watch, prefixes, n_prefixes, set, n);
        watch->prefixes = set;
        r = prefixes_look(watch);
        prefixes_free(old, n_old);
        return r;
}

int watch_refresh(Watch *watch)
{
        int n_added, r;

        n_added = rings_refresh(watch->rings);
        if (n_added > 0) {
                watch->has_lost = true;
                (void)sd_event_source_set_enabled(watch->news, SD_EVENT_ONESHOT);
        }

        r = prefixes_look(watch);
        return n_added < 0 ? n_added : r;
}
