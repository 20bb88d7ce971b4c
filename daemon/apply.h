/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Has the injector make calls in targets: a few at a time, never two in one process, without
 * waiting. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/kernel/inject.h"

typedef struct Applier Applier;
typedef struct Apply Apply;

/* How many calls are under way at once: as many as the injector serves. */
#define APPLY_CONNECTIONS 4u

/* @outcome: the injector's answer; NULL: there was none, and @error says why: -EPIPE, it ended and
 * whether the call was made is not known; others as of injection_connect(). The Apply is gone. */
typedef void (*apply_done_fn)(const InjectOutcome *outcome, int error, void *userdata);

/* @path: the injector's socket; must outlive it. */
int applier_new(sd_event *event, const char *path, Applier **ret_applier);

/* What is under way or waits is forgotten; nobody is told. */
Applier *applier_free(Applier *applier);
void applier_freep(Applier **applier);

/* Queues the call. @done is called from the event loop, once, unless apply_cancel() comes first. The
 * caller has at most one for each process. */
int apply_start(Applier *applier, const InjectRequest *request, apply_done_fn done, void *userdata,
                Apply **ret_apply);

/* Takes a call back that nobody has begun with; then true, and the Apply is gone. */
bool apply_withdraw(Apply *apply);

/* The caller is not interested any more. What was sent is still done. */
void apply_cancel(Apply *apply);
