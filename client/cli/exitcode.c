/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/exitcode.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/macro.h"

typedef struct ErrorRow {
        int error;
        ExitCode code;
        const char *sentence;
} ErrorRow;

static const ErrorRow rows[] = {
        { EBADMSG, EXITCODE_INPUT, "the text is not as expected" },
        { EDOM, EXITCODE_INPUT, "no such tier: say cheap, fast, default, node:2 or node:2-3" },
        { EFAULT, EXITCODE_INPUT,
          "nothing is mapped at that address; `daxtier query PID --all` lists the mappings" },
        { EINVAL, EXITCODE_INPUT, "not a valid value" },
        { EISDIR, EXITCODE_INPUT, "a directory, where a file is wanted" },
        { ENODEV, EXITCODE_INPUT, "no such dax device; `daxtier devices` lists them" },
        { ENOENT, EXITCODE_INPUT, "no such file" },
        { ENOTUNIQ, EXITCODE_INPUT, "names several dax devices; say which, as in dax1.0" },
        { ESRCH, EXITCODE_INPUT, "no such process (it may just have ended)" },

        { EALREADY, EXITCODE_IMPOSSIBLE, "already under way; wait for it to end" },
        { EBADR, EXITCODE_IMPOSSIBLE,
          "the daxtierd that runs is older than this command and cannot do that: systemctl restart "
          "daxtierd" },
        { EBUSY, EXITCODE_IMPOSSIBLE,
          "in use; `fuser -v /dev/daxX.Y` names who has the device open" },
        { EINPROGRESS, EXITCODE_IMPOSSIBLE,
          "daxtierd is at work on this device; try again when `daxtier status` shows it done" },
        { EINTR, EXITCODE_IMPOSSIBLE, "interrupted; the same command goes on from here" },
        { ENODATA, EXITCODE_IMPOSSIBLE, "the kernel does not tell" },
        { ENOMEM, EXITCODE_IMPOSSIBLE, "out of memory" },
        { ENOSPC, EXITCODE_IMPOSSIBLE, "the nodes of the tier lack the room" },
        { ENXIO, EXITCODE_IMPOSSIBLE,
          "the tier has no NUMA node on this machine; `daxtier doctor` says why" },
        { EOPNOTSUPP, EXITCODE_IMPOSSIBLE,
          "this kernel cannot do that; `daxtier doctor` names the missing feature" },
        { EPROTO, EXITCODE_IMPOSSIBLE,
          "daxtierd's answer makes no sense to this command: are both of the same version?" },
        { ERANGE, EXITCODE_IMPOSSIBLE, "smaller than one memory block: it can never be memory" },
        { ETIMEDOUT, EXITCODE_IMPOSSIBLE,
          "no end in sight; the kernel may still be moving pages, see `daxtier devices`" },
        { EUCLEAN, EXITCODE_IMPOSSIBLE,
          "done in part: some memory blocks are not as wanted; the same command tries them again" },

        { ECONNREFUSED, EXITCODE_NO_DAEMON, "daxtierd is not running: systemctl start daxtierd" },
        { ECONNRESET, EXITCODE_NO_DAEMON,
          "daxtierd went away before it answered: systemctl status daxtierd" },

        { EACCES, EXITCODE_DENIED, "permission denied; try it as root, with sudo" },
        { EPERM, EXITCODE_DENIED, "not permitted; try it as root, with sudo" },
};

static const ErrorRow *row_of(int error)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].error == abs(error))
                        return &rows[i];
        return NULL;
}

ExitCode exitcode_of(int error)
{
        const ErrorRow *row = row_of(error);

        if (error == 0)
                return EXITCODE_DONE;
        return row ? row->code : EXITCODE_IMPOSSIBLE;
}

const char *error_sentence(int error)
{
        const ErrorRow *row = row_of(error);
        const char *description;

        if (row)
                return row->sentence;

        description = strerrordesc_np(abs(error));
        return description ? description : "unknown error";
}

ExitCode error_report(int error, const char *subject)
{
        fprintf(stderr, "daxtier: %s: %s\n", subject, error_sentence(error));
        return exitcode_of(error);
}

ExitCode config_error_report(int error, const char *path, const ConfigError *config_error)
{
        _cleanup_(freep) char *text = NULL;

        if (!config_error->message || config_error_format(config_error, &text) < 0)
                return error_report(error, path);

        fprintf(stderr, "daxtier: %s\n", text);
        return exitcode_of(error);
}

ExitCode input_refuse(const char *format, ...)
{
        va_list arguments;

        fputs("daxtier: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);

        return EXITCODE_INPUT;
}
