/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/hold.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/memblock.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"

/* Two words, what was found and what was set: "online online_movable". */
#define STATE_FILE "auto-online"

static int state_write(const Hold *hold)
{
        char text[sizeof(hold->found) + sizeof(hold->set) + 2];

        snprintf(text, sizeof(text), "%s %s\n", hold->found, hold->set);
        return file_replace(hold->run_fd, STATE_FILE, text, 0600);
}

static int state_remove(int run_fd)
{
        if (unlinkat(run_fd, STATE_FILE, 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

/* Writes the state before the setting: killed between the two, recovery finds the policy as it was
 * and has nothing to do. */
static int hold_set(Hold *hold, const char *policy)
{
        int r;

        snprintf(hold->set, sizeof(hold->set), "%s", policy);
        r = state_write(hold);
        if (r < 0)
                return r;

        r = auto_online_write(hold->sys_fd, policy);
        if (r < 0)
                state_remove(hold->run_fd);
        return r;
}

int hold_take(int sys_fd, int run_fd, const char *wanted, Hold *ret_hold)
{
        Hold hold = { .sys_fd = sys_fd, .run_fd = run_fd };
        int r;

        r = auto_online_read(sys_fd, hold.found, sizeof(hold.found));
        if (r < 0 && r != -ENOENT)
                return r;

        if (r == -ENOENT || strcmp(hold.found, wanted) == 0) {
                hold.found[0] = '\0';
                *ret_hold = hold;
                return 0;
        }

        r = hold_set(&hold, wanted);
        if (r == -EINVAL)
                r = hold_set(&hold, "offline");
        if (r < 0)
                return r;

        *ret_hold = hold;
        return 0;
}

int hold_release(Hold *hold)
{
        char now[sizeof(hold->set)];
        int r;

        if (hold->found[0] == '\0')
                return 0;

        r = auto_online_read(hold->sys_fd, now, sizeof(now));
        if (r >= 0 && strcmp(now, hold->set) == 0)
                r = auto_online_write(hold->sys_fd, hold->found);
        if (r < 0)
                return r; /* the state file stays, for hold_recover() */

        hold->found[0] = '\0';
        return state_remove(hold->run_fd);
}

int hold_recover(int sys_fd, int run_fd)
{
        Hold hold = { .sys_fd = sys_fd, .run_fd = run_fd };
        char text[80], rest;
        int r;

        r = attr_read(run_fd, STATE_FILE, text, sizeof(text));
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        if (sscanf(text, "%31s %31s %c", hold.found, hold.set, &rest) != 2)
                return -EBADMSG;
        return hold_release(&hold);
}
