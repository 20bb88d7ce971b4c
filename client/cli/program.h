/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An executable, as LD_PRELOAD sees it. */
typedef enum ProgramFit {
        PROGRAM_FITS,
        PROGRAM_STATIC,     /* no dynamic linker, nothing that could preload */
        PROGRAM_PRIVILEGED, /* set-uid, set-gid, file capabilities: the linker ignores LD_PRELOAD */
        PROGRAM_FOREIGN,    /* of another architecture or word size than the shim */
} ProgramFit;

/* Where execvp() would find @name. -ENOENT: nowhere; -EACCES: found, and not executable for us. The
 * caller frees. */
int program_find(const char *name, char **ret_path);

/* Whether a shared object of the kind of @shim would be preloaded into the program at @path. A
 * script is as its interpreter. *ret_culprit is the file that the verdict is about, which the caller
 * frees. -ENOEXEC: a broken ELF file; the errno of opening one of the files. */
int program_inspect(const char *path, const char *shim, ProgramFit *ret_fit, char **ret_culprit);
