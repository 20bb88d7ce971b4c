/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks now and then where a few pages of each process are that somebody moves the memory of, be that
 * us, DAMON or the kernel's own reclaim: what of it goes to and fro. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "policy/sample.h"

typedef struct Sampler Sampler;

/* A page that moves twice within this long is moved again, where nobody says how long. */
#define SAMPLER_WINDOW_USEC UINT64_C(60000000)

/* @proc_fd and @tiers must outlive it. Without a process to look at it has no timer. */
int sampler_new(sd_event *event, int proc_fd, const Tiers *tiers, Sampler **ret_sampler);
Sampler *sampler_free(Sampler *sampler);
void sampler_freep(Sampler **sampler);

/* From now on looks at this process, with @window_usec (0: SAMPLER_WINDOW_USEC): four times in that
 * time, between once a second and twice a minute, less often if it would take more than half a percent
 * of a processor. One that is looked at already goes on being so; another of the same pid takes its
 * place. */
int sampler_want(Sampler *sampler, pid_t pid, uint64_t start_time, uint64_t window_usec);

/* No more. A process that has ended need not be told of, but is remembered until then. */
void sampler_leave(Sampler *sampler, pid_t pid);

/* What was seen of it since sampler_want(); nothing of one that is not looked at. */
SampleCount sampler_count(const Sampler *sampler, pid_t pid);

/* And of all there ever were. */
SampleCount sampler_total(const Sampler *sampler);
