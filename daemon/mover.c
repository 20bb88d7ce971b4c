/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/damon.h"
#include "daemon/kernel/node.h"
#include "daemon/kernel/pagecgroup.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

static void signal_set(sigset_t *set)
{
        sigemptyset(set);
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                sigaddset(set, signals[i]);
}

uint64_t mover_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

int mover_sleep(Mover *mover, uint64_t ns)
{
        uint64_t end = mover_now() + ns, now;
        sigset_t set;

        signal_set(&set);
        while (!mover->interrupted) {
                struct timespec wait = {};

                now = mover_now();
                if (now < end) {
                        wait.tv_sec = (time_t)((end - now) / NSEC_PER_SEC);
                        wait.tv_nsec = (long)((end - now) % NSEC_PER_SEC);
                }
                if (sigtimedwait(&set, NULL, &wait) >= 0)
                        mover->interrupted = true;
                else if (now >= end)
                        return 0;
        }
        return -EINTR;
}

int mover_refuse(Mover *mover, RelocateEngine engine, int error, const char *format, ...)
{
        EngineState *state = &mover->engines[engine];
        va_list arguments;

        mover->refused |= 1u << engine;
        mover->errors[engine] = error;
        va_start(arguments, format);
        vsnprintf(state->reason, sizeof(state->reason), format, arguments);
        va_end(arguments);
        return error;
}

int mover_settle(Mover *mover, RelocateEngine engine, size_t first, size_t n, size_t *ret_left)
{
        CopyPage *pages = mover->pages + first;
        size_t left = 0, behind = mover->n_pages - first - n;
        uint64_t moved;
        int r;

        r = copy_finder_locate(&mover->finder, pages, n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; i++)
                if (pages[i].node < 0 ||
                    !nodeset_has(&mover->request->nodes, (unsigned)pages[i].node))
                        pages[left++] = pages[i];

        memmove(pages + left, pages + n, behind * sizeof(*pages));
        mover->n_pages -= n - left;
        moved = (n - left) * mover->finder.page_size;
        mover->result.moved_bytes += moved;
        mover->result.moved_by[engine] += moved;
        *ret_left = left;
        return 0;
}

static int find_cgroup(Mover *mover, uint64_t inode)
{
        char *path = NULL;
        int r;

        if (mover->page_cgroup && mover->page_cgroup_inode == inode)
                return 0;

        r = page_cgroup_path(mover->roots->cgroup_fd, inode, &path);
        if (r < 0)
                return r;
        free(mover->page_cgroup);
        mover->page_cgroup = path;
        mover->page_cgroup_inode = inode;
        return 0;
}

int mover_group(Mover *mover, size_t first, size_t *ret_n, const char **ret_path)
{
        CopyPage *pages = mover->pages + first;
        size_t n_pages = mover->n_pages - first, n = 0;
        int r;

        if (mover->roots->cgroup_fd < 0)
                return -EOPNOTSUPP;
        r = page_cgroup_read(mover->roots->proc_fd, pages, n_pages);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_pages; i++)
                if (pages[i].cgroup == pages[0].cgroup) {
                        CopyPage page = pages[n];

                        pages[n] = pages[i];
                        pages[i] = page;
                        n++;
                }

        *ret_n = n;
        r = find_cgroup(mover, pages[0].cgroup);
        if (r < 0)
                return r;
        *ret_path = mover->page_cgroup;
        return 0;
}

/* The process, and nobody else of its number. */
static int open_process(Mover *mover)
{
        const RelocateRequest *request = mover->request;
        uint64_t ticks;
        int r;

        r = process_open(mover->roots->proc_fd, request->pid, &mover->process_fd);
        if (r < 0)
                return r;

        mover->pidfd = pidfd_open(request->pid, 0);
        if (mover->pidfd < 0)
                return -errno;

        /* It lives now, so the pidfd is its, too. */
        r = process_start_time(mover->process_fd, &ticks);
        if (r < 0)
                return r;
        return ticks == request->start_time ? 0 : -ESRCH;
}

void mover_init(const RelocateRequest *request, const MoverRoots *roots, int result_fd,
                Mover *mover)
{
        sigset_t set;

        *mover = (Mover){
                .request = request,
                .roots = roots,
                .result_fd = result_fd,
                .process_fd = -1,
                .pidfd = -1,
                .finder = COPY_FINDER_NONE,
                .damon = DAMON_CLAIM_NONE,
                .began_ns = mover_now(),
                .result = { .engine = RELOCATE_NONE },
        };

        signal_set(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Without it no node is nearer than another. */
static void read_proximity(Mover *mover)
{
        _cleanup_(freep) Node *nodes = NULL;
        size_t n_nodes = 0;

        if (nodeset_count(&mover->request->nodes) > 1 &&
            nodes_read(mover->roots->sys_fd, &nodes, &n_nodes) >= 0)
                proximity_build(nodes, n_nodes, &mover->proximity);
}

/* Where its memory is charged, most likely: spares the search for it. */
static int find_own_cgroup(Mover *mover)
{
        _cleanup_(closep) int fd = -1;
        int root_fd = mover->roots->cgroup_fd, r;
        struct stat st;

        if (root_fd < 0)
                return 0;
        r = cgroup_memory_path(root_fd, mover->request->cgroup, &mover->memory_cgroup);
        if (r < 0)
                return r == -EOPNOTSUPP ? 0 : r;

        r = cgroup_open(root_fd, mover->memory_cgroup, &fd);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (fstat(fd, &st) < 0)
                return -errno;
        mover->page_cgroup = strdup(mover->memory_cgroup);
        mover->page_cgroup_inode = st.st_ino;
        return mover->page_cgroup ? 0 : -ENOMEM;
}

int mover_open(Mover *mover)
{
        int r;

        if (mover->request->kind != RELOCATE_PROCESS)
                return find_own_cgroup(mover);

        r = open_process(mover);
        if (r >= 0)
                r = copy_finder_init(mover->process_fd, mover->request->pid, &mover->finder);
        if (r >= 0)
                r = find_own_cgroup(mover);
        if (r >= 0)
                r = mover_pages_open(mover);
        if (r < 0)
                return r;

        read_proximity(mover);
        mover->pages = malloc(MOVER_BATCH_PAGES * sizeof(*mover->pages));
        mover->runs = malloc(DAMON_RUNS_MAX * sizeof(*mover->runs));
        return mover->pages && mover->runs ? 0 : -ENOMEM;
}

void mover_deinit(Mover *mover)
{
        if (mover->damon_claimed)
                (void)damon_release(&mover->damon); /* what stays, mover_recover() finds */
        damon_claim_close(&mover->damon);
        if (mover->demotion_held)
                (void)hold_release(&mover->demotion);
        closep(&mover->process_fd);
        closep(&mover->pidfd);
        copy_finder_deinit(&mover->finder);
        free(mover->memory_cgroup);
        free(mover->page_cgroup);
        free(mover->pages);
        free(mover->runs);
        free(mover->ranges);
        free(mover->busy);
}

int mover_recover(const MoverRoots *roots)
{
        int r = damon_recover(roots->sys_fd, roots->run_fd), held;

        held = hold_recover(roots->sys_fd, roots->run_fd, HOLD_DEMOTION);
        return r < 0 ? r : held;
}
