/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

typedef struct ConfigError ConfigError;

/* Where a file is wrong, and what was expected there. */
struct ConfigError {
        char *file;
        unsigned line; /* 1-based; 0: the file as a whole */
        char *message; /* a sentence; names the nearest known key for an unknown one */
};

/* Fills @error, which must be empty, and returns -EBADMSG (-ENOMEM: it stays empty), so that a
 * parser can say "return config_error_set(…)". A NULL @error is a caller who does not ask why. */
int config_error_set(ConfigError *error, const char *file, unsigned line, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* "file:line: message", or "file: message" for a file as a whole. The caller frees. */
int config_error_format(const ConfigError *error, char **ret_text);

void config_error_deinit(ConfigError *error);
