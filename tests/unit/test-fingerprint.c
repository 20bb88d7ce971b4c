/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/kernel/fingerprint.h"
#include "policy/macro.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

static uint64_t fingerprint(int process_fd)
{
        uint64_t value = 0;

        cr_assert_eq(process_fingerprint(process_fd, &value), 0);
        return value;
}

Test(fingerprint, changes_with_the_mappings_and_not_without)
{
        _cleanup_(closep) int fd = own_process();
        uint64_t before, with, protected;
        void *page;

        fingerprint(fd); /* the stack may grow */
        before = fingerprint(fd);
        cr_assert_eq(fingerprint(fd), before);
        page = mmap((void *)0x200000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(page, MAP_FAILED);
        with = fingerprint(fd);
        cr_assert_neq(with, before);
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
        protected = fingerprint(fd);
        cr_assert_neq(protected, with);
        munmap(page, 4096);
        cr_assert_eq(fingerprint(fd), before);
}

Test(fingerprint, changes_with_the_cgroup)
{
        _cleanup_(scratch_freep) Scratch scratch = scratch_new();
        uint64_t before;

        scratch_write(&scratch, "maps", "same\n", 5);
        scratch_write(&scratch, "cgroup", "0::/a\n", 6);
        before = fingerprint(scratch.fd);
        scratch_write(&scratch, "cgroup", "0::/b\n", 6);
        cr_assert_neq(fingerprint(scratch.fd), before);
}

Test(fingerprint, gone_is_gone)
{
        Child child = child_new(NULL, NULL);
        uint64_t value = 77;

        child_end(&child);
        child_reap(&child);
        cr_assert_eq(process_fingerprint(child.process_fd, &value), -ESRCH);
        cr_assert_eq(value, 77);
        close(child.process_fd);
}
