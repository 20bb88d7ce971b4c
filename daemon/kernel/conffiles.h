/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "policy/config.h"
#include "policy/rule.h"

typedef struct ConfFile ConfFile;

/* The largest configuration file we read, and how many of one directory name. */
#define CONFFILE_BYTES_MAX ((size_t)1024 * 1024)
#define CONFFILES_MAX      4096u

struct ConfFile {
        char *path; /* as people know it: "/etc/daxtierd/daxtierd.conf" */
        char *text; /* without null bytes */
};

/* Files are found below @root_fd, an open "/" or a fixture tree, in systemd's manner: /etc comes
 * before /run before /usr/lib, a file there hides those of the same name behind it, and a link to
 * /dev/null hides them without taking their place. No file at all is fine.
 *
 * On failure @ret_error says which file and why, except on -ENOMEM. -EBADMSG: what the file holds;
 * other codes: how reading it failed. */

/* The main file @name ("daxtierd/daxtierd.conf"), then the drop-ins of <name>.d by file name. */
int conffiles_read(int root_fd, const char *name, ConfFile **ret_files, size_t *ret_n_files,
                   ConfigError *ret_error);

/* The *.conf files of @directory ("daxtierd/policy.d") by file name. */
int conffiles_read_directory(int root_fd, const char *directory, ConfFile **ret_files,
                             size_t *ret_n_files, ConfigError *ret_error);

void conffiles_free(ConfFile *files, size_t n_files);

/* daxtierd.conf and its drop-ins, merged over the defaults and checked. */
int config_load(int root_fd, Config *ret_config, ConfigError *ret_error);

/* Every policy in policy.d, in the order in which they are tried, with its user's id if there is one.
 * The caller: rules_free(). */
int rules_load(int root_fd, Rule **ret_rules, size_t *ret_n_rules, ConfigError *ret_error);
void rules_free(Rule *rules, size_t n_rules);

/* One policy file, @path below @dir_fd (AT_FDCWD allowed). */
int rule_load(int dir_fd, const char *path, Rule *ret_rule, ConfigError *ret_error);
