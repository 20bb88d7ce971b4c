/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/configerror.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "policy/macro.h"

int config_error_set(ConfigError *error, const char *file, unsigned line, const char *format, ...)
{
        _cleanup_(freep) char *name = NULL, *message = NULL;
        va_list arguments;
        int length;

        if (!error)
                return -EBADMSG;

        va_start(arguments, format);
        length = vasprintf(&message, format, arguments);
        va_end(arguments);
        if (length < 0) {
                message = NULL; /* vasprintf() leaves it undefined */
                return -ENOMEM;
        }

        name = strdup(file);
        if (!name)
                return -ENOMEM;

        *error = (ConfigError){
                .file = TAKE_PTR(name),
                .line = line,
                .message = TAKE_PTR(message),
        };
        return -EBADMSG;
}

int config_error_format(const ConfigError *error, char **ret_text)
{
        char *text;
        int length;

        if (error->line > 0)
                length = asprintf(&text, "%s:%u: %s", error->file, error->line, error->message);
        else
                length = asprintf(&text, "%s: %s", error->file, error->message);
        if (length < 0)
                return -ENOMEM;

        *ret_text = text;
        return 0;
}

void config_error_deinit(ConfigError *error)
{
        free(error->file);
        free(error->message);
        *error = (ConfigError){};
}
