/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/placement.h"
#include "daemon/timer.h"
#include "policy/macro.h"

/* After a move that left something it is tried again, less and less often. */
#define MOVE_RETRY_FIRST_USEC UINT64_C(1000000)
#define MOVE_RETRY_LAST_USEC  UINT64_C(300000000)

/* A relocation begins with so much of a second's MoveRate= saved: an eighth. */
#define MOVE_LEAST(rate) ((rate) / 8u)

/* And keeps the rate by itself for so long; then it is another one's turn. */
#define MOVE_SECONDS 5u

static void moving_start(Placement *placement);

static void queue_remove(Placement *placement, size_t at)
{
        placement->n_waiting--;
        memmove(&placement->waiting[at], &placement->waiting[at + 1],
                (placement->n_waiting - at) * sizeof(*placement->waiting));
}

static int queue_append(Placement *placement, Target *target)
{
        if (placement->n_waiting == placement->n_waiting_allocated) {
                size_t larger = placement->n_waiting > 0 ? placement->n_waiting * 2 : 16;
                Target **waiting =
                        reallocarray(placement->waiting, larger, sizeof(*placement->waiting));

                if (!waiting)
                        return -ENOMEM;
                placement->waiting = waiting;
                placement->n_waiting_allocated = larger;
        }
        placement->waiting[placement->n_waiting++] = target;
        return 0;
}

/* What was moved counts, whoever still wants it. */
static void note_moved(Placement *placement, const Relocation *relocation)
{
        const RelocateResult *result = &relocation->result;
        CgroupAccount *cgroup = account_find(&placement->account, relocation->request.cgroup);

        for (size_t i = 0; i < RELOCATE_ENGINES; i++)
                placement->account.moved_bytes[i] += result->moved_by[i];
        placement->idle_engines |= result->idle_engines;
        if (result->error < 0)
                placement->account.moves_failed++;
        /* Spent before it is filled up again: the time that it took was earning, too. */
        if (cgroup) {
                bucket_take(&cgroup->moves, result->moved_bytes);
                bucket_fill(&cgroup->moves, relocation->request.rate, placement_now(placement));
        }

        log_event(LOG_DEBUG, NULL, NULL, result->error,
                  "Process %d: moved %" PRIu64 " bytes by %s, %" PRIu64 " left: %s",
                  relocation->request.pid, result->moved_bytes, engine_name(result->engine),
                  result->left_bytes, result->reason[0] != '\0' ? result->reason : "all done");
}

static void move_failed(Placement *placement, Target *target, const char *reason)
{
        target->n_move_failures++;
        target->move_retry_usec = placement_now(placement) +
                                  placement_backoff(target->n_move_failures, MOVE_RETRY_FIRST_USEC,
                                                    MOVE_RETRY_LAST_USEC);
        snprintf(target->move_reason, sizeof(target->move_reason), "%s", reason);
}

/* One that moved nothing is not begun again at once, whatever it says of itself: killed each time, or
 * with less left of a limit than a page, it would be begun for ever. */
static void target_moved(Placement *placement, Target *target, const RelocateResult *result,
                         bool anonymous)
{
        bool has_ended =
                result->error >= 0 || result->error == -EINTR || result->error == -ECANCELED;

        target->is_moving = false;
        *(anonymous ? &target->anon.move_from : &target->move_from) = result->next;
        if (!target->rule)
                return; /* it was moved to another cgroup meanwhile */

        if (has_ended && result->moved_bytes > 0) {
                target->n_move_failures = 0;
                target->move_retry_usec = 0;
        } else
                move_failed(placement, target,
                            result->reason[0] != '\0' ? result->reason
                            : result->error < 0       ? strerror(-result->error)
                                                      : "Nothing was moved; it is tried again.");
        placement_due(placement, target, 0);
}

void moving_recover(void)
{
        int r = relocate_recover();

        if (r < 0)
                log_event(LOG_WARNING, NULL, NULL, r,
                          "Cannot undo what a killed mover left in DAMON or in "
                          "numa/demotion_enabled: %s",
                          strerror(-r));
}

static void on_relocated(Relocation *relocation, void *userdata)
{
        Placement *placement = userdata;
        Target *target = placement->relocating;

        placement->relocation = NULL;
        placement->relocating = NULL;
        if (relocation->result.error == -ECANCELED) /* killed: it could put nothing back */
                moving_recover();
        note_moved(placement, relocation);
        if (target && relocation->request.anonymous)
                target->anon.moved_bytes += relocation->result.moved_bytes;
        if (target)
                target_moved(placement, target, &relocation->result, relocation->request.anonymous);
        relocation_free(relocation);
        if (!placement->stopping)
                moving_start(placement);
        else if (!placement->demotion)
                placement->on_idle(placement->userdata);
}

bool moving_stop(Placement *placement)
{
        if (placement->relocation)
                relocation_cancel(placement->relocation);
        return placement->relocation != NULL;
}

static size_t ranges_build(const Target *target, RelocateRange *ranges)
{
        size_t n_ranges = 0;

        for (size_t i = 0; i < target->n_mappings; i++) {
                const TargetMapping *mapping = &target->mappings[i];

                if (mapping->actions & PLAN_MOVE)
                        ranges[n_ranges++] = (RelocateRange){
                                .start = mapping->start,
                                .end = mapping->end,
                                .dax = mapping->kind == MAPPING_DAX,
                        };
        }
        return n_ranges;
}

/* Of a page less than the whole cannot be moved: the next one then waits for longer. */
static uint64_t turn_bytes(uint64_t rate)
{
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

        if (rate > UINT64_MAX / MOVE_SECONDS)
                return UINT64_MAX;
        return rate * MOVE_SECONDS > page ? rate * MOVE_SECONDS : page;
}

/* Copies and anonymous memory may belong to different nodes: now these, now that. */
static bool moves_copies(const Target *target)
{
        if (target->anon_is_next && (target->anon.actions & PLAN_MOVE))
                return false;
        for (size_t i = 0; i < target->n_mappings; i++)
                if (target->mappings[i].actions & PLAN_MOVE)
                        return true;
        return false;
}

static const Intent *moving_intent(const Target *target)
{
        return moves_copies(target) ? &target->intent : &target->anon_intent;
}

static int relocation_begin(Placement *placement, Target *target, uint64_t bytes_max)
{
        _cleanup_(freep) RelocateRange *ranges = calloc(target->n_mappings + 1, sizeof(*ranges));
        _cleanup_(relocation_freep) Relocation *relocation = NULL;
        bool copies = moves_copies(target);
        RelocateRequest request = {
                .pid = target->pid,
                .start_time = target->subject.start_time,
                .cgroup = target->subject.cgroup,
                .ranges = ranges,
                .nodes = moving_intent(target)->nodes,
                .from = copies ? target->move_from : target->anon.move_from,
                .rate = target->rule->limits.move_rate,
                .saved_bytes = MOVE_LEAST(target->rule->limits.move_rate),
                .bytes_max = bytes_max,
                .bytes_turn = turn_bytes(target->rule->limits.move_rate),
                .pause_max_ns = limits_pause_max_ns(&target->rule->limits),
                .engines = RELOCATE_ENGINES_ALL & ~placement->idle_engines,
        };
        int r;

        if (!ranges)
                return -ENOMEM;
        if (copies)
                request.n_ranges = ranges_build(target, ranges);
        request.anonymous = !copies && (target->anon.actions & PLAN_MOVE);
        if (!copies && !request.anonymous)
                return 0;
        target->anon_is_next = copies;

        r = relocation_new(&request, &relocation);
        if (r >= 0)
                r = relocation_start(relocation, placement->event, placement->host.relocate,
                                     on_relocated, placement);
        if (r < 0)
                return r;

        placement->relocation = TAKE_PTR(relocation);
        placement->relocating = target;
        return 0;
}

/* What may be moved for it now; 0: @ret_wait_usec later. */
static uint64_t allowance(Placement *placement, const Target *target, uint64_t *ret_wait_usec)
{
        CgroupAccount *cgroup =
                account_cgroup(&placement->account, target->subject.cgroup, &target->rule->limits);
        uint64_t rate = target->rule->limits.move_rate, bytes = UINT64_MAX;

        if (!cgroup)
                return 0;
        bucket_fill(&cgroup->moves, rate, placement_now(placement));
        *ret_wait_usec = bucket_wait_usec(&cgroup->moves, MOVE_LEAST(rate));
        if (*ret_wait_usec > 0)
                return 0;
        /* More that is saved is lost: all of it is 5 % too much of the first five seconds. */
        bucket_take(&cgroup->moves, bucket_level(&cgroup->moves) - MOVE_LEAST(rate));

        if (nodeset_first_common(&moving_intent(target)->nodes, &placement->tiers.cheap) >= 0 &&
            cgroup_limit_left(&cgroup->cheap) < bytes)
                bytes = cgroup_limit_left(&cgroup->cheap);
        return bytes;
}

static int on_move_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        moving_start(userdata);
        return 0;
}

static const TimerKind move_timer = { "move-rate", on_move_timer, 0 };

/* Starts on the first whose cgroup may move something now. */
static void moving_start(Placement *placement)
{
        uint64_t soonest = UINT64_MAX;

        for (size_t i = 0; i < placement->n_waiting && !placement->relocation; i++) {
                Target *target = placement->waiting[i];
                uint64_t wait_usec = 0, bytes = 0;
                int r = 0;

                if (target->rule)
                        bytes = allowance(placement, target, &wait_usec);
                if (bytes == 0 && wait_usec > 0) {
                        soonest = wait_usec < soonest ? wait_usec : soonest;
                        continue;
                }

                queue_remove(placement, i--);
                if (bytes > 0)
                        r = relocation_begin(placement, target, bytes);
                if (!placement->relocation)
                        target->is_moving = false;
                if (r < 0) {
                        log_event(LOG_WARNING, NULL, NULL, r, "Cannot start to move copies: %s",
                                  strerror(-r));
                        move_failed(placement, target, "Moving copies could not be started.");
                        placement_due(placement, target, 0);
                }
        }

        if (!placement->relocation && soonest != UINT64_MAX)
                timer_set_in(placement->event, &placement->move_timer, soonest, &move_timer,
                             placement);
}

void target_move(Placement *placement, Target *target)
{
        if (target->is_moving || placement->stopping || queue_append(placement, target) < 0)
                return;

        target->is_moving = true;
        if (!placement->relocation)
                moving_start(placement);
}

void target_stop_moving(Placement *placement, Target *target)
{
        if (!target->is_moving)
                return;
        if (placement->relocating == target) {
                placement->relocating = NULL;
                relocation_cancel(placement->relocation);
        }
        for (size_t i = 0; i < placement->n_waiting; i++)
                if (placement->waiting[i] == target) {
                        queue_remove(placement, i);
                        break;
                }
        target->is_moving = false;
}

void moving_deinit(Placement *placement)
{
        relocation_free(placement->relocation);
        placement->relocation = NULL;
        sd_event_source_disable_unref(placement->move_timer);
        free(placement->waiting);
}
