/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outcome.h"

#include <errno.h>

void outcome_note(Account *account, const InjectOutcome *outcome)
{
        if (!outcome) {
                account->injections_failed++;
                return;
        }

        if (outcome->pause_ns != 0)
                histogram_add(&account->target_pause, outcome->pause_ns);
        if (outcome->error < 0) {
                account->injections_failed++;
                if (outcome->step == INJECT_STEP_PAUSE)
                        account->pauses_refused++;
        } else if (outcome->result < 0)
                account->injections_refused++;
        else
                account->injections_done++;
}

bool outcome_may_pass(const InjectOutcome *outcome)
{
        switch ((InjectStep)outcome->step) {
        case INJECT_STEP_THREAD:
        case INJECT_STEP_STOP:
        case INJECT_STEP_RSEQ:
        case INJECT_STEP_PAUSE:
                return true;
        case INJECT_STEP_SEIZE:
                return outcome->error == -EBUSY || outcome->error == -EAGAIN;
        case INJECT_STEP_ENTER:
                return outcome->error != -EFAULT;
        default:
                return false;
        }
}

const char *outcome_error_text(int error)
{
        return error == -EPIPE ? "The injector ended meanwhile; it is tried again."
                               : "The injector is not running: `systemctl start "
                                 "daxtierd-injector.socket`.";
}

const char *outcome_result_text(int result)
{
        switch (result) {
        case -EINVAL:
                return "The kernel refused the memory policy: none of the tier's nodes is online and "
                       "in the process' cpuset.";
        case -ENOMEM:
                return "The process has as many mappings as it may have (vm.max_map_count).";
        default:
                return "The kernel refused the memory policy.";
        }
}
