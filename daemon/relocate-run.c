/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/mover.h"
#include "policy/macro.h"

/* What runs in a relocation's process, on the machine as it is. */

#define RUN_DIR   "/run/daxtierd"
#define LOCK_FILE "relocate.lock"

static void roots_close(MoverRoots *roots)
{
        closep(&roots->sys_fd);
        closep(&roots->proc_fd);
        closep(&roots->cgroup_fd);
        closep(&roots->run_fd);
}

static int roots_open(MoverRoots *roots)
{
        const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

        (void)cgroup_root_open(&roots->cgroup_fd); /* without it some engines are not to be had */
        roots->sys_fd = open("/sys", flags);
        if (roots->sys_fd < 0)
                return -errno;
        roots->proc_fd = open("/proc", flags);
        if (roots->proc_fd < 0)
                return -errno;
        if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST)
                return -errno;
        roots->run_fd = open(RUN_DIR, flags | O_NOFOLLOW);
        return roots->run_fd < 0 ? -errno : 0;
}

#define ROOTS_NONE                                                                                 \
        {                                                                                          \
                .sys_fd = -1, .proc_fd = -1, .cgroup_fd = -1, .run_fd = -1                         \
        }

/* One at a time on a machine; the kernel drops it for us however we end. */
static int lock_take(const MoverRoots *roots, int operation, int *ret_fd)
{
        _cleanup_(closep) int fd = -1;

        fd = openat(roots->run_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, operation) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Waits for the lock only as long as nobody tells us to end. */
static int lock_await(Mover *mover, int *ret_fd)
{
        int r;

        for (;;) {
                r = lock_take(mover->roots, LOCK_EX | LOCK_NB, ret_fd);
                if (r != -EBUSY)
                        return r;
                r = mover_sleep(mover, 50 * NSEC_PER_MSEC);
                if (r < 0)
                        return r;
        }
}

static bool is_look(const RelocateRequest *request)
{
        return request->kind == RELOCATE_MARK || request->kind == RELOCATE_MEASURE;
}

static int work(Mover *mover)
{
        switch (mover->request->kind) {
        case RELOCATE_COLDEST:
                return mover_demote(mover);
        case RELOCATE_MARK:
                return mover_mark(mover);
        case RELOCATE_MEASURE:
                return mover_measure(mover);
        default:
                return mover_run(mover);
        }
}

void relocation_run(const RelocateRequest *request, int result_fd)
{
        _cleanup_(roots_close) MoverRoots roots = ROOTS_NONE;
        _cleanup_(closep) int lock_fd = -1;
        _cleanup_(mover_deinit) Mover mover;
        int r;

        mover_init(request, &roots, result_fd, &mover);
        r = roots_open(&roots);
        if (r >= 0)
                r = mover_open(&mover);
        if (r >= 0 && !is_look(request)) {
                r = lock_await(&mover, &lock_fd);
                if (r >= 0)
                        r = mover_recover(&roots);
        }
        if (r >= 0)
                r = work(&mover);
        mover_finish(&mover, r);
}

void relocate_probe(EngineState ret_states[static RELOCATE_ENGINES])
{
        _cleanup_(roots_close) MoverRoots roots = ROOTS_NONE;

        (void)roots_open(&roots);
        engine_probe(roots.sys_fd, roots.cgroup_fd, ret_states);
}

int relocate_recover(void)
{
        _cleanup_(roots_close) MoverRoots roots = ROOTS_NONE;
        _cleanup_(closep) int lock_fd = -1;
        int r;

        r = roots_open(&roots);
        if (r >= 0)
                r = lock_take(&roots, LOCK_EX | LOCK_NB, &lock_fd);
        return r < 0 ? r : mover_recover(&roots);
}
