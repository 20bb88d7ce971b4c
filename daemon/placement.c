/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/placement.h"

#include <errno.h>
#include <time.h>

#include "daemon/idle.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/conffiles.h"
#include "daemon/kernel/fingerprint.h"
#include "daemon/kernel/process.h"
#include "daemon/listing.h"
#include "daemon/log.h"
#include "daemon/recall.h"
#include "daemon/timer.h"
#include "policy/macro.h"
#include "policy/match.h"

/* Looking at one process is not to take more than this part of the time, beyond what a few looks in a
 * row take: a process that has just begun maps one thing after the other, and waits for none. */
#define REST_FACTOR    8u
#define REST_FREE_USEC UINT64_C(200000)
#define REST_MAX_USEC  UINT64_C(1000000)

/* So many routine looks in a row may only compare fingerprints. A real one finds, too, where copies
 * have gone since: after a node was full, say. */
#define ROUTINE_SKIPS_MAX 10u

/* A process that could not be looked at, for want of memory say. */
#define SCAN_RETRY_USEC UINT64_C(1000000)

/* The reconcile looks at so many processes in a row, then lets others go first. */
#define SWEEP_BATCH UINT64_C(32)
#define SWEEP_PAUSE UINT64_C(20000)

/* Who makes so many mappings that records of them are lost does not make us walk over all cgroups, and
 * look at all processes, more often than this. */
#define LOST_REST_USEC UINT64_C(1000000)

/* What failed for a reason that may pass is tried again, less and less often; for one that will not,
 * hardly ever. */
#define RETRY_FIRST_USEC UINT64_C(20000)
#define RETRY_LAST_USEC  UINT64_C(10000000)
#define RETRY_NEVER_USEC UINT64_C(600000000)

uint64_t placement_now(const Placement *placement)
{
        uint64_t now;

        return sd_event_now(placement->event, CLOCK_MONOTONIC, &now) >= 0 ? now : 0;
}

uint64_t placement_clock_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t placement_backoff(unsigned n_failures, uint64_t first_usec, uint64_t last_usec)
{
        uint64_t usec = first_usec;

        while (n_failures-- > 1 && usec < last_usec)
                usec *= 2;
        return usec < last_usec ? usec : last_usec;
}

uint64_t placement_retry_usec(unsigned n_failures, bool for_good)
{
        return for_good ? RETRY_NEVER_USEC
                        : placement_backoff(n_failures, RETRY_FIRST_USEC, RETRY_LAST_USEC);
}

/* Whether a routine look would find what the last one found. */
static bool is_unchanged(const Placement *placement, Target *target)
{
        _cleanup_(closep) int process_fd = -1;
        uint64_t fingerprint, before = target->fingerprint;

        if (!target->rule || process_open(placement->host.proc_fd, target->pid, &process_fd) < 0 ||
            process_fingerprint(process_fd, &fingerprint) < 0)
                return false;

        target->fingerprint = fingerprint;
        return fingerprint == before && target->n_skipped++ < ROUTINE_SKIPS_MAX;
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
        Target *target = userdata;

        target->due_usec = UINT64_MAX;
        if (!target->is_routine || !is_unchanged(target->placement, target))
                placement_look(target->placement, target);
        return 0;
}

static int timer_arm(Target *target)
{
        /* What is due now must not wait for company. */
        static const TimerKind kind = { "target", on_due, 1 };

        return timer_set(target->placement->event, &target->timer, target->due_usec, &kind, target);
}

static void target_due(Placement *placement, Target *target, uint64_t in_usec, bool is_routine)
{
        uint64_t at = placement_now(placement) + in_usec;
        int r;

        target->is_routine = is_routine && (target->due_usec == UINT64_MAX || target->is_routine);
        if (at < target->rest_usec)
                at = target->rest_usec;
        if (at >= target->due_usec)
                return;

        target->due_usec = at;
        r = timer_arm(target);
        if (r < 0) {
                target->due_usec = UINT64_MAX; /* else it would be waited for, for ever */
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot set a timer for process %d: %s",
                          target->pid, strerror(-r));
        }
}

void placement_due(Placement *placement, Target *target, uint64_t in_usec)
{
        target_due(placement, target, in_usec, false);
}

Target *placement_target(Placement *placement, pid_t pid)
{
        Target *target = targets_find(&placement->targets, pid);

        if (pid <= 0) /* cgroup.procs has 0 for one of another pid namespace */
                return NULL;
        if (!target && targets_add(&placement->targets, pid, &target) < 0)
                return NULL;
        target->placement = placement;
        return target;
}

void placement_remove(Placement *placement, Target *target)
{
        apply_cancel(target->apply);
        target_stop_moving(placement, target);
        aging_due(placement);
        sampler_leave(placement->sampler, target->pid);
        if (placement->ledger)
                ledger_forget(placement->ledger, target->pid);
        targets_remove(&placement->targets, target);
}

/* What a look took is owed, and paid off by time; who owes too much rests. */
static void look_charge(Target *target, uint64_t begun, uint64_t ended)
{
        uint64_t paid = (begun - target->scanned_usec) / REST_FACTOR, rest = 0;

        target->owed_usec = target->owed_usec > paid ? target->owed_usec - paid : 0;
        target->owed_usec += ended - begun;
        target->scanned_usec = ended;
        if (target->owed_usec > REST_FREE_USEC)
                rest = (target->owed_usec - REST_FREE_USEC) * REST_FACTOR;
        target->rest_usec = ended + (rest < REST_MAX_USEC ? rest : REST_MAX_USEC);
}

/* Threads inherit what those have that make them: once all have it there is nothing to look for. */
static unsigned scan_flags(const Target *target)
{
        if (target->anon.is_settled)
                return SCAN_MAIN_THREAD; /* it may have chosen a policy by itself since */

        return SCAN_THREADS | (target->anon.given ? SCAN_THREADS_ALWAYS : 0);
}

int placement_look(Placement *placement, Target *target)
{
        _cleanup_(scan_deinit) Scan scan = {};
        uint64_t begun = placement_clock_ns() / 1000u;
        const Rule *before = target->rule;
        bool is_known = target->scanned;
        int r;

        placement->account.scans++;
        target->n_skipped = 0;
        if (!is_known)
                recall_threads(placement, target);
        r = scan_process(&placement->scanner, target->pid, scan_flags(target),
                         target->anon.threads_after, &scan);
        if (r >= 0)
                r = target_update(&placement->targets, target, &scan);
        if (r == -ESRCH) {
                placement_remove(placement, target);
                return r;
        }

        look_charge(target, begun, placement_clock_ns() / 1000u);
        if (r < 0) {
                log_event(LOG_DEBUG, NULL, NULL, r, "Cannot look at process %d: %s", target->pid,
                          strerror(-r));
                placement_due(placement, target, SCAN_RETRY_USEC);
                return r;
        }

        if (target->placing_ns == 0)
                target->placing_ns = target->heard_ns;
        target->heard_ns = 0;
        if (target->rule != before || !is_known)
                aging_due(placement); /* one without policy matters, too, beside others */
        if (!is_known) {
                recall_mappings(placement, target, &scan);
                recall_note_inherited(placement, target);
        }
        if (!target->rule) {
                target->placing_ns = 0;
                anon_plan(placement, target, &scan, target->scanned_usec);
                target_proceed(placement, target);
                return 0;
        }
        limits_look(placement, target);
        target_plan(placement, target, &scan, target->scanned_usec);
        target_proceed(placement, target);
        return 0;
}

static int on_cgroup(int cgroup_fd, const char *path, void *userdata)
{
        Placement *placement = userdata;
        _cleanup_(freep) pid_t *pids = NULL;
        bool matches = false, below = false;
        size_t n_pids = 0;

        for (size_t i = 0; i < placement->n_rules; i++) {
                matches = matches || cgroup_match(placement->rules[i].cgroup, path);
                below = below || cgroup_may_match_below(placement->rules[i].cgroup, path);
        }
        if (!matches || cgroup_processes(cgroup_fd, &pids, &n_pids) < 0)
                return below;

        for (size_t i = 0; i < n_pids; i++) {
                Target *target = placement_target(placement, pids[i]);

                if (target && !target->scanned)
                        placement_due(placement, target, 0);
        }
        return below;
}

void placement_sweep(Placement *placement)
{
        int r;

        if (placement->n_rules == 0 || placement->host.cgroup_fd < 0)
                return;
        r = cgroup_walk(placement->host.cgroup_fd, "/", on_cgroup, placement);
        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r, "Cannot walk the cgroups: %s", strerror(-r));
}

static int on_lost(sd_event_source *source, uint64_t usec, void *userdata)
{
        Placement *placement = userdata;

        placement->lost_usec = placement_now(placement);
        placement_look_again(placement);
        placement_sweep(placement);
        return 0;
}

int placement_make_up(Placement *placement)
{
        static const TimerKind kind = { "lost-events", on_lost, 1 };
        uint64_t at = placement->lost_usec + LOST_REST_USEC;
        int r;

        if (placement->lost_usec == 0 || at < placement_now(placement))
                at = placement_now(placement);
        r = timer_is_set(placement->lost_timer);
        if (r != 0)
                return r < 0 ? r : 0; /* it comes */
        return timer_set(placement->event, &placement->lost_timer, at, &kind, placement);
}

static void look_again(Placement *placement, bool is_routine)
{
        uint64_t n = 0;

        for (Target *target = placement->targets.by_pid; target; target = target->hh.next)
                target_due(placement, target, n++ / SWEEP_BATCH * SWEEP_PAUSE, is_routine);
}

void placement_look_again(Placement *placement)
{
        look_again(placement, false);
}

void placement_reconcile(Placement *placement)
{
        int r;

        if (placement->n_rules == 0 || placement->stopping)
                return;

        if (placement->watch) {
                r = watch_refresh(placement->watch);
                if (r < 0)
                        log_event(LOG_WARNING, LOG_ID_WATCH, NULL, r,
                                  "Cannot watch all cgroups of the policies: %s", strerror(-r));
        }
        limits_forget(placement);
        aging_due(placement);                /* one may have left a cgroup that no policy was for */
        scanner_forget(&placement->scanner); /* another device may have the number */
        look_again(placement, true);
        placement_sweep(placement);
}

/* Listens to what the rules are about, and no longer to anything else. */
static int watch_rules(Placement *placement)
{
        _cleanup_(freep) char **prefixes = calloc(placement->n_rules + 1, sizeof(*prefixes));
        int r = 0;

        if (!prefixes)
                return -ENOMEM;
        if (placement->host.cgroup_fd < 0)
                return placement->n_rules > 0 ? -EOPNOTSUPP : 0;

        for (size_t i = 0; r >= 0 && i < placement->n_rules; i++)
                r = cgroup_prefix(placement->rules[i].cgroup, &prefixes[i]);
        if (r >= 0 && placement->n_rules > 0 && !placement->watch)
                r = watch_new(placement->event, placement->host.cgroup_fd, placement_hear,
                              placement, &placement->watch);
        if (r >= 0 && placement->watch)
                r = watch_set(placement->watch, prefixes, placement->n_rules);

        for (size_t i = 0; i < placement->n_rules; i++)
                free(prefixes[i]);
        return r;
}

int placement_set_rules(Placement *placement, Rule *rules, size_t n_rules)
{
        if (placement->stopping) {
                rules_free(rules, n_rules);
                return 0;
        }

        for (Target *target = placement->targets.by_pid; target; target = target->hh.next) {
                target_stop_moving(placement, target);
                if (target->apply && apply_withdraw(target->apply))
                        target->apply = NULL;
                target_rules_changed(target);
        }

        account_rules_changed(&placement->account);
        aging_forget(placement);
        rules_free(placement->rules, placement->n_rules);
        placement->rules = rules;
        placement->n_rules = n_rules;
        placement->scanner.rules = rules;
        placement->scanner.n_rules = n_rules;
        placement->all_dax = n_rules > 0;
        for (size_t i = 0; i < n_rules; i++)
                placement->all_dax = placement->all_dax && rules[i].cow.filter == FILE_FILTER_DAX;

        placement->watch_error = watch_rules(placement);
        if (placement->watch_error < 0)
                log_event(LOG_ERR, LOG_ID_WATCH, NULL, placement->watch_error,
                          "Cannot watch the cgroups of the policies (%s): programs are only looked "
                          "at every ReconcileSec=",
                          strerror(-placement->watch_error));
        placement_look_again(placement);
        placement_sweep(placement);
        return placement->watch_error;
}

bool placement_stop(Placement *placement, placement_idle_fn on_idle, void *userdata)
{
        bool demoting;

        placement->stopping = true;
        placement->on_idle = on_idle;
        placement->userdata = userdata;
        placement->watch = watch_free(placement->watch);
        demoting = demoting_stop(placement);
        return moving_stop(placement) || demoting;
}

void placement_set_tiers(Placement *placement, const Tiers *tiers)
{
        if (tiers_equal(&placement->tiers, tiers))
                return;

        placement->tiers = *tiers;
        scanner_forget(&placement->scanner);
        for (Target *target = placement->targets.by_pid; target; target = target->hh.next)
                target->anon.is_settled = false;
        aging_due(placement);
        placement_look_again(placement);
}

int placement_new(sd_event *event, const PlacementHost *host, Placement **ret_placement)
{
        _cleanup_(placement_freep) Placement *placement = NULL;
        int r;

        placement = calloc(1, sizeof(*placement));
        if (!placement)
                return -ENOMEM;

        placement->event = sd_event_ref(event);
        placement->host =
                (PlacementHost){ .proc_fd = -1, .sys_fd = -1, .cgroup_fd = -1, .run_fd = -1 };
        r = applier_new(event, host->injector_path, &placement->applier);
        if (r < 0)
                return r;

        r = sampler_new(event, host->proc_fd, &placement->tiers, &placement->sampler);
        if (r < 0)
                return r;
        r = heat_new(event, host->sys_fd, host->cgroup_fd, host->run_fd, &placement->heat);
        if (r < 0)
                return r;

        if (host->run_fd >= 0) {
                r = ledger_open(host->run_fd, host->proc_fd, &placement->ledger);
                if (r < 0)
                        log_event(
                                LOG_WARNING, NULL, NULL, r,
                                "What was given before this start, /run/daxtierd/given, cannot be "
                                "read, and is not taken off: %s",
                                strerror(-r));
        }

        placement->host = *host;
        placement->cold_by_reclaim = idle_is_needed(host->sys_fd);
        placement->scanner = (Scanner){
                .proc_fd = host->proc_fd,
                .sys_fd = host->sys_fd,
                .cgroup_fd = host->cgroup_fd,
                .tiers = &placement->tiers,
        };
        *ret_placement = TAKE_PTR(placement);
        return 0;
}

Placement *placement_free(Placement *placement)
{
        if (!placement)
                return NULL;

        listings_free(placement);
        watch_free(placement->watch);
        applier_free(placement->applier);
        moving_deinit(placement);
        sampler_free(placement->sampler);
        heat_free(placement->heat);
        aging_deinit(&placement->aging);
        demoting_deinit(placement);
        targets_deinit(&placement->targets);
        ledger_free(placement->ledger);
        account_deinit(&placement->account);
        sd_event_source_disable_unref(placement->poll_timer);
        sd_event_source_disable_unref(placement->lost_timer);
        rules_free(placement->rules, placement->n_rules);
        closep(&placement->host.proc_fd);
        closep(&placement->host.sys_fd);
        closep(&placement->host.cgroup_fd);
        closep(&placement->host.run_fd);
        sd_event_unref(placement->event);
        free(placement);
        return NULL;
}

void placement_freep(Placement **placement)
{
        placement_free(*placement);
}
