/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <sys/stat.h>

#include "client/cli/program.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

#define STATIC_PROGRAM  getenv("PROGRAM_STATIC")
#define DYNAMIC_PROGRAM getenv("PROGRAM_DYNAMIC")

/* The test itself is an ELF file of the shim's kind. */
#define SHIM "/proc/self/exe"

static void assert_fit(const char *path, ProgramFit expected, const char *culprit)
{
        _cleanup_(freep) char *found = NULL;
        ProgramFit fit;

        cr_assert_eq(program_inspect(path, SHIM, &fit, &found), 0, "%s", path);
        cr_assert_eq(fit, expected, "%s", path);
        cr_assert_str_eq(found, culprit);
}

static void file_write(const Scratch *scratch, const char *name, const void *text, size_t size,
                       mode_t mode, char path[static PATH_MAX])
{
        scratch_write(scratch, name, text, size);
        cr_assert_eq(fchmodat(scratch->fd, name, mode, 0), 0);
        snprintf(path, PATH_MAX, "%s/%s", scratch->path, name);
}

/* A copy of the dynamic program. */
static size_t dynamic_read(char **ret_bytes)
{
        FILE *file = fopen(DYNAMIC_PROGRAM, "re");
        char *bytes = malloc(1 << 20);
        size_t size;

        cr_assert_not_null(file);
        cr_assert_not_null(bytes);
        size = fread(bytes, 1, 1 << 20, file);
        fclose(file);
        cr_assert_gt(size, sizeof(Elf64_Ehdr));
        *ret_bytes = bytes;
        return size;
}

Test(program, a_dynamic_one_fits_and_a_static_one_does_not)
{
        assert_fit(DYNAMIC_PROGRAM, PROGRAM_FITS, DYNAMIC_PROGRAM);
        assert_fit(STATIC_PROGRAM, PROGRAM_STATIC, STATIC_PROGRAM);
}

Test(program, a_script_is_as_its_interpreter)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[PATH_MAX + 16], path[PATH_MAX], outer[PATH_MAX];

        snprintf(text, sizeof(text), "#! \t%s -x\necho\n", STATIC_PROGRAM);
        file_write(&scratch, "static", text, strlen(text), 0755, path);
        assert_fit(path, PROGRAM_STATIC, STATIC_PROGRAM);

        snprintf(text, sizeof(text), "#!%s\n", path);
        file_write(&scratch, "outer", text, strlen(text), 0755, outer);
        assert_fit(outer, PROGRAM_STATIC, STATIC_PROGRAM);

        snprintf(text, sizeof(text), "#!%s", DYNAMIC_PROGRAM);
        file_write(&scratch, "dynamic", text, strlen(text), 0755, path);
        assert_fit(path, PROGRAM_FITS, DYNAMIC_PROGRAM);

        file_write(&scratch, "plain", "echo\n", 5, 0755, path);
        assert_fit(path, PROGRAM_FITS, "/bin/sh");
}

Test(program, scripts_that_run_each_other_end)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        char text[PATH_MAX], path[PATH_MAX];
        char *culprit;
        ProgramFit fit;

        snprintf(text, sizeof(text), "#!%s/loop\n", scratch.path);
        file_write(&scratch, "loop", text, strlen(text), 0755, path);
        cr_assert_eq(program_inspect(path, SHIM, &fit, &culprit), -ELOOP);
}

Test(program, another_architecture_is_foreign)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *bytes = NULL;
        size_t size = dynamic_read(&bytes);
        Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
        char path[PATH_MAX];

        header->e_machine ^= 1;
        file_write(&scratch, "machine", bytes, size, 0755, path);
        assert_fit(path, PROGRAM_FOREIGN, path);
        header->e_machine ^= 1;
        header->e_ident[EI_CLASS] = ELFCLASS32;
        file_write(&scratch, "class", bytes, size, 0755, path);
        assert_fit(path, PROGRAM_FOREIGN, path);
}

Test(program, a_broken_elf_file_is_no_executable)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *bytes = NULL;
        size_t size = dynamic_read(&bytes);
        Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)bytes;
        char path[PATH_MAX];
        char *culprit;
        ProgramFit fit;

        header->e_phoff = UINT64_MAX - 8;
        file_write(&scratch, "offset", bytes, size, 0755, path);
        cr_assert_eq(program_inspect(path, SHIM, &fit, &culprit), -ENOEXEC);

        header->e_phoff = size - 1;
        file_write(&scratch, "short", bytes, size, 0755, path);
        cr_assert_eq(program_inspect(path, SHIM, &fit, &culprit), -ENOEXEC);
}

Test(program, set_uid_of_somebody_else_is_privileged)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *bytes = NULL;
        size_t size = dynamic_read(&bytes);
        char path[PATH_MAX];

        if (geteuid() != 0)
                cr_skip("needs root, to make a file of another user");

        file_write(&scratch, "mine", bytes, size, 04755, path);
        assert_fit(path, PROGRAM_FITS, path);

        file_write(&scratch, "theirs", bytes, size, 0755, path);
        cr_assert_eq(chown(path, 65534, 65534), 0);
        cr_assert_eq(chmod(path, 04755), 0);
        assert_fit(path, PROGRAM_PRIVILEGED, path);
        cr_assert_eq(chmod(path, 02755), 0);
        assert_fit(path, PROGRAM_PRIVILEGED, path);
        cr_assert_eq(chmod(path, 02745), 0);
        assert_fit(path, PROGRAM_FITS, path); /* set-gid without x is a lock, not a privilege */
}

Test(program, is_found_as_execvp_finds_it)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        _cleanup_(freep) char *found = NULL;
        char path[PATH_MAX], folders[PATH_MAX];
        char *none;

        file_write(&scratch, "daxtier-tool", "x", 1, 0755, path);
        snprintf(folders, sizeof(folders), "/nonexistent:%s:/bin", scratch.path);
        setenv("PATH", folders, 1);

        cr_assert_eq(program_find("daxtier-tool", &found), 0);
        cr_assert_str_eq(found, path);
        cr_assert_eq(program_find("daxtier-no-such-tool", &none), -ENOENT);
        cr_assert_eq(program_find("", &none), -ENOENT);
        cr_assert_eq(program_find("/nonexistent/tool", &none), -ENOENT);

        cr_assert_eq(chmod(path, 0644), 0);
        cr_assert_eq(program_find("daxtier-tool", &none), -EACCES);
        cr_assert_eq(program_find(scratch.path, &none), -EACCES, "a directory");
}
