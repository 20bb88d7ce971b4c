/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/hold.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"

/* The state file has two words, what was found and what was set: "online online_movable". */
static const struct {
        const char *path;       /* below /sys */
        const char *state_file; /* below /run/daxtierd */
        const char *instead;    /* where the wanted value is not known; NULL: nothing */
} settings[] = {
        [HOLD_AUTO_ONLINE] = { "devices/system/memory/auto_online_blocks", "auto-online",
                               "offline" },
        [HOLD_DEMOTION] = { "kernel/mm/numa/demotion_enabled", "demotion", NULL },
        [HOLD_DAMON_STAT] = { "module/damon_stat/parameters/enabled", "damon-stat", NULL },
};

static int setting_read(const Hold *hold, char *value, size_t size)
{
        return attr_read(hold->sys_fd, settings[hold->setting].path, value, size);
}

static int setting_write(const Hold *hold, const char *value)
{
        return attr_write(hold->sys_fd, settings[hold->setting].path, value);
}

static int state_write(const Hold *hold)
{
        char text[sizeof(hold->found) + sizeof(hold->set) + 2];

        snprintf(text, sizeof(text), "%s %s\n", hold->found, hold->set);
        return file_replace(hold->run_fd, settings[hold->setting].state_file, text, 0600);
}

static int state_remove(const Hold *hold)
{
        if (unlinkat(hold->run_fd, settings[hold->setting].state_file, 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

/* Writes the state before the setting: killed between the two, recovery finds the setting as it was
 * and has nothing to do. */
static int hold_set(Hold *hold, const char *value)
{
        int r;

        snprintf(hold->set, sizeof(hold->set), "%s", value);
        r = state_write(hold);
        if (r < 0)
                return r;

        r = setting_write(hold, value);
        if (r < 0)
                state_remove(hold);
        return r;
}

int hold_take(int sys_fd, int run_fd, HoldSetting setting, const char *wanted, Hold *ret_hold)
{
        Hold hold = { .sys_fd = sys_fd, .run_fd = run_fd, .setting = setting };
        int r;

        r = setting_read(&hold, hold.found, sizeof(hold.found));
        if (r < 0 && r != -ENOENT)
                return r;

        if (r == -ENOENT || strcmp(hold.found, wanted) == 0) {
                hold.found[0] = '\0';
                *ret_hold = hold;
                return 0;
        }

        r = hold_set(&hold, wanted);
        if (r == -EINVAL && settings[setting].instead)
                r = hold_set(&hold, settings[setting].instead);
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

        r = setting_read(hold, now, sizeof(now));
        if (r >= 0 && strcmp(now, hold->set) == 0)
                r = setting_write(hold, hold->found);
        if (r < 0)
                return r; /* the state file stays, for hold_recover() */

        hold->found[0] = '\0';
        return state_remove(hold);
}

int hold_recover(int sys_fd, int run_fd, HoldSetting setting)
{
        Hold hold = { .sys_fd = sys_fd, .run_fd = run_fd, .setting = setting };
        char text[80], rest;
        int r;

        r = attr_read(run_fd, settings[setting].state_file, text, sizeof(text));
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        if (sscanf(text, "%31s %31s %c", hold.found, hold.set, &rest) != 2)
                return -EBADMSG;
        return hold_release(&hold);
}
