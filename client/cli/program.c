/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "policy/macro.h"

/* The kernel follows as many scripts whose interpreter is a script (exec_binprm()), and reads as
 * much of their first line (BINPRM_BUF_SIZE). */
#define SCRIPTS_MAX     5u
#define SHEBANG_MAX     256u
#define PROGRAM_HEADERS 512u

/* What of an ELF header decides who can load whom. */
typedef struct ElfKind {
        unsigned char class;
        unsigned char order;
        uint16_t machine;
} ElfKind;

typedef struct Head {
        union {
                unsigned char ident[EI_NIDENT];
                Elf32_Ehdr elf32;
                Elf64_Ehdr elf64;
                char text[SHEBANG_MAX];
        };
        size_t size;
} Head;

static int try_path(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                return -EACCES;
        return 0;
}

int program_find(const char *name, char **ret_path)
{
        const char *folders = getenv("PATH");
        int error = -ENOENT;

        if (strchr(name, '/')) {
                int r = try_path(name);

                if (r < 0)
                        return r;
                *ret_path = strdup(name);
                return *ret_path ? 0 : -ENOMEM;
        }

        for (const char *folder = folders ? folders : _PATH_DEFPATH; *name && folder;) {
                size_t length = strcspn(folder, ":");
                char path[PATH_MAX];
                int r;

                /* An empty entry is the working directory. */
                if (snprintf(path, sizeof(path), "%.*s/%s", length ? (int)length : 1,
                             length ? folder : ".", name) < (int)sizeof(path)) {
                        r = try_path(path);
                        if (r >= 0) {
                                *ret_path = strdup(path);
                                return *ret_path ? 0 : -ENOMEM;
                        }
                        if (r == -EACCES)
                                error = r;
                }
                folder = folder[length] ? folder + length + 1 : NULL;
        }
        return error;
}

static int head_read(int fd, Head *ret_head)
{
        Head head = {};
        ssize_t n = pread(fd, head.text, sizeof(head.text) - 1, 0);

        if (n < 0)
                return -errno;
        head.size = (size_t)n;

        *ret_head = head;
        return 0;
}

static int elf_kind(const Head *head, ElfKind *ret_kind)
{
        if (head->size < sizeof(Elf32_Ehdr) || memcmp(head->ident, ELFMAG, SELFMAG) != 0)
                return -ENOEXEC;

        /* The machine stands at the same place in both classes. */
        *ret_kind = (ElfKind){
                .class = head->ident[EI_CLASS],
                .order = head->ident[EI_DATA],
                .machine = head->elf32.e_machine,
        };
        return 0;
}

/* Whether the program asks for a dynamic linker. The file is of our own kind: no byte swapping. */
static int has_interpreter(int fd, const Head *head, bool *ret_has)
{
        bool is64 = head->ident[EI_CLASS] == ELFCLASS64;
        uint64_t offset = is64 ? head->elf64.e_phoff : head->elf32.e_phoff;
        unsigned n = is64 ? head->elf64.e_phnum : head->elf32.e_phnum;
        size_t size = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

        if (n > PROGRAM_HEADERS || (is64 && head->size < sizeof(Elf64_Ehdr)) ||
            (is64 ? head->elf64.e_phentsize : head->elf32.e_phentsize) != size ||
            offset > INT64_MAX - n * size)
                return -ENOEXEC;

        for (unsigned i = 0; i < n; i++) {
                uint32_t type; /* the first member in both classes */
                ssize_t got = pread(fd, &type, sizeof(type), (off_t)(offset + i * size));

                if (got < 0)
                        return -errno;
                if (got < (ssize_t)sizeof(type))
                        return -ENOEXEC;
                if (type == PT_INTERP) {
                        *ret_has = true;
                        return 0;
                }
        }

        *ret_has = false;
        return 0;
}

/* Would exec() raise privileges (AT_SECURE)? Then the dynamic linker forgets LD_PRELOAD. */
static bool is_privileged(int fd)
{
        struct statvfs fs;
        struct stat st;

        if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0 || (fs.f_flag & ST_NOSUID))
                return false;
        if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
                return true;
        if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
                return true;
        return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* Who runs a file that is not ELF: the interpreter of its "#! /path argument" line; without one,
 * execvp() takes the shell. NULL: out of memory. */
static char *interpreter_of(Head *head)
{
        char *path;

        if (head->size < 2 || memcmp(head->text, "#!", 2) != 0)
                return strdup(_PATH_BSHELL);

        path = head->text + 2;
        path += strspn(path, " \t");
        path[strcspn(path, " \t\n")] = '\0';
        return strdup(*path ? path : _PATH_BSHELL);
}

static int elf_inspect(int fd, const Head *head, const ElfKind *kind, const ElfKind *shim,
                       ProgramFit *ret_fit)
{
        bool interpreted;
        int r;

        if (kind->class != shim->class || kind->order != shim->order ||
            kind->machine != shim->machine) {
                *ret_fit = PROGRAM_FOREIGN;
                return 0;
        }

        r = has_interpreter(fd, head, &interpreted);
        if (r < 0)
                return r;

        if (!interpreted)
                *ret_fit = PROGRAM_STATIC;
        else
                *ret_fit = is_privileged(fd) ? PROGRAM_PRIVILEGED : PROGRAM_FITS;
        return 0;
}

static int shim_kind(const char *shim, ElfKind *ret_kind)
{
        _cleanup_(closep) int fd = open(shim, O_RDONLY | O_CLOEXEC);
        Head head;
        int r;

        if (fd < 0)
                return -errno;
        r = head_read(fd, &head);
        return r < 0 ? r : elf_kind(&head, ret_kind);
}

int program_inspect(const char *path, const char *shim, ProgramFit *ret_fit, char **ret_culprit)
{
        _cleanup_(freep) char *culprit = strdup(path);
        ElfKind wanted = {};
        int r;

        if (!culprit)
                return -ENOMEM;
        r = shim_kind(shim, &wanted);
        if (r < 0)
                return r;

        for (unsigned i = 0; i <= SCRIPTS_MAX; i++) {
                _cleanup_(closep) int fd = open(culprit, O_RDONLY | O_CLOEXEC);
                char *interpreter;
                ElfKind kind;
                Head head;

                if (fd < 0)
                        return -errno;
                r = head_read(fd, &head);
                if (r < 0)
                        return r;

                if (elf_kind(&head, &kind) >= 0) {
                        r = elf_inspect(fd, &head, &kind, &wanted, ret_fit);
                        if (r >= 0)
                                *ret_culprit = TAKE_PTR(culprit);
                        return r;
                }

                interpreter = interpreter_of(&head);
                if (!interpreter)
                        return -ENOMEM;
                free(culprit);
                culprit = interpreter;
        }
        return -ELOOP;
}
