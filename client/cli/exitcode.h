/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy/configerror.h"

/* What `daxtier` exits with. Scripts rely on the numbers. */
typedef enum ExitCode {
        EXITCODE_DONE = 0,
        EXITCODE_INPUT = 1,      /* wrong input: another command line would do */
        EXITCODE_IMPOSSIBLE = 2, /* not possible here, or only in part; the text says why */
        EXITCODE_NO_DAEMON = 3,  /* daxtierd cannot be reached */
        EXITCODE_DENIED = 4,     /* not yours to do or to look at */
} ExitCode;

/* The one mapping of errors (either sign) to an exit code and to a sentence that says what to do.
 * 0 is EXITCODE_DONE. The sentence is static. */
ExitCode exitcode_of(int error);
const char *error_sentence(int error);

/* Says "daxtier: SUBJECT: sentence" on standard error; returns exitcode_of(@error). */
ExitCode error_report(int error, const char *subject);

/* The same for a configuration file: "daxtier: FILE:LINE: what is wrong", where @error says so, as
 * for -EBADMSG it does. @path is for where it does not. */
ExitCode config_error_report(int error, const char *path, const ConfigError *config_error);

/* Says "daxtier: …" on standard error and returns EXITCODE_INPUT. */
ExitCode input_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
