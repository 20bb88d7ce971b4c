/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/damonlist.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/damonmark.h"
#include "daemon/kernel/replace.h"
#include "policy/macro.h"

#define KDAMONDS   "kernel/mm/damon/admin/kdamonds"
#define N_KDAMONDS KDAMONDS "/nr_kdamonds"

/* More than that nobody has. */
#define KDAMONDS_MAX 64u

/* A command that DAMON is at may take an aggregation interval, and 100 ms. */
#define BUSY_TRIES 150u
#define BUSY_NS    10000000

/* Bytes of the lock file: who changes the list; and from 1 on, who has which kdamond. */
#define LOCK_LIST 0

static void rest(void)
{
        nanosleep(&(struct timespec){ .tv_nsec = BUSY_NS }, NULL);
}

int damon_write(int dir_fd, const char *path, const char *text)
{
        int r = attr_write(dir_fd, path, text);

        for (unsigned i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
                rest();
                r = attr_write(dir_fd, path, text);
        }
        return r;
}

/* What the kernel refuses while somebody uses it, too: whoever asks must not wait for that. */
static int list_set(int sys_fd, unsigned n)
{
        char text[16];
        int r;

        snprintf(text, sizeof(text), "%u", n);
        r = attr_write(sys_fd, N_KDAMONDS, text);
        for (unsigned i = 0; r == -EBUSY && i < 5; i++) {
                rest();
                r = attr_write(sys_fd, N_KDAMONDS, text);
        }
        return r;
}

static int list_count(int sys_fd, uint64_t *ret_n)
{
        int r = attr_read_u64(sys_fd, N_KDAMONDS, ret_n);

        return r == -ENOENT ? -EOPNOTSUPP : r;
}

static int kdamond_open(int sys_fd, unsigned index, int *ret_fd)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), KDAMONDS "/%u", index);
        fd = openat(sys_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int damon_slot_open(const DamonClaim *claim, int *ret_fd)
{
        return kdamond_open(claim->sys_fd, claim->slot, ret_fd);
}

bool damon_is_off(int slot_fd)
{
        char state[16];
        int r = attr_read(slot_fd, "state", state, sizeof(state));

        for (unsigned i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
                rest();
                r = attr_read(slot_fd, "state", state, sizeof(state));
        }
        return r >= 0 && strcmp(state, "off") == 0;
}

int damon_turn_off(int slot_fd)
{
        int r;

        if (damon_is_off(slot_fd))
                return 0;
        r = damon_write(slot_fd, "state", "off");
        /* It ends by itself, too, when the process is gone. */
        return r < 0 && !damon_is_off(slot_fd) ? r : 0;
}

/* Makes the one context that a kdamond can have. Only what is shared bears our mark: nobody else would
 * choose it, and nothing depends on it much. */
static int context_make(int slot_fd, bool shared)
{
        char text[24];
        int r;

        snprintf(text, sizeof(text), "%" PRIu64, DAMON_MARK_UPDATE);
        r = damon_write(slot_fd, "contexts/nr_contexts", "1");
        if (r >= 0 && shared)
                r = attr_write(slot_fd, DAMON_INTERVALS "update_us", text);
        return r;
}

static bool has_mark(int slot_fd)
{
        uint64_t update = 0;

        return attr_read_u64(slot_fd, DAMON_INTERVALS "update_us", &update) >= 0 &&
               update == DAMON_MARK_UPDATE;
}

static bool is_blank(int slot_fd)
{
        uint64_t n_contexts = 1;

        return attr_read_u64(slot_fd, "contexts/nr_contexts", &n_contexts) >= 0 &&
               n_contexts == 0 && damon_is_off(slot_fd);
}

/* Whether there are kdamonds, and @test holds for all. */
static bool all_are(int sys_fd, bool (*test)(int slot_fd))
{
        uint64_t n = 0;

        if (list_count(sys_fd, &n) < 0 || n == 0 || n > KDAMONDS_MAX)
                return false;

        for (unsigned i = 0; i < n; i++) {
                _cleanup_(closep) int slot_fd = -1;

                if (kdamond_open(sys_fd, i, &slot_fd) < 0 || !test(slot_fd))
                        return false;
        }
        return true;
}

bool damon_is_ours(int sys_fd)
{
        return all_are(sys_fd, has_mark);
}

static int lock_set(int lock_fd, short type, off_t byte, bool wait)
{
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        if (lock_fd < 0)
                return 0;
        if (TEMP_FAILURE_RETRY(fcntl(lock_fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock)) < 0)
                return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
        return 0;
}

/* By another than us. */
static bool lock_is_held(int lock_fd, off_t byte)
{
        struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
        };

        return lock_fd >= 0 && fcntl(lock_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static off_t slot_byte(unsigned slot)
{
        return LOCK_LIST + 1 + (off_t)slot;
}

static int lock_open(int run_fd, int *ret_fd)
{
        int fd = openat(run_fd, DAMON_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int damon_claim_open(int sys_fd, int run_fd, DamonSlot slot, DamonClaim *ret_claim)
{
        DamonClaim claim = { .sys_fd = sys_fd, .run_fd = run_fd, .lock_fd = -1, .slot = slot };
        int r;

        if (run_fd >= 0) {
                r = lock_open(run_fd, &claim.lock_fd);
                if (r < 0)
                        return r;
        }
        *ret_claim = claim;
        return 0;
}

void damon_claim_close(DamonClaim *claim)
{
        closep(&claim->lock_fd);
        claim->lock_fd = -1;
}

static int note_remove(int run_fd)
{
        if (run_fd < 0)
                return 0;
        return unlinkat(run_fd, DAMON_NOTE, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* The note is there before anything is, for damon_recover(). */
static int list_make(DamonClaim *claim)
{
        int r = 0;

        if (claim->run_fd >= 0)
                r = file_replace(claim->run_fd, DAMON_NOTE, "claimed\n", 0600);
        if (r >= 0)
                r = list_set(claim->sys_fd, DAMON_SLOTS);
        for (unsigned i = 0; r >= 0 && i < DAMON_SLOTS; i++) {
                _cleanup_(closep) int slot_fd = -1;

                r = kdamond_open(claim->sys_fd, i, &slot_fd);
                if (r >= 0)
                        r = context_make(slot_fd, claim->lock_fd >= 0);
                if (r < 0)
                        (void)list_set(claim->sys_fd, 0);
        }
        if (r < 0)
                (void)note_remove(claim->run_fd);
        return r;
}

/* One that was left there by who had it before is turned off. */
static int list_share(DamonClaim *claim)
{
        _cleanup_(closep) int slot_fd = -1;
        uint64_t n = 0;
        int r;

        r = list_count(claim->sys_fd, &n);
        if (r < 0)
                return r;
        if (n != DAMON_SLOTS)
                return -EBUSY;
        r = damon_slot_open(claim, &slot_fd);
        return r < 0 ? r : damon_turn_off(slot_fd);
}

static int list_join(DamonClaim *claim, bool take)
{
        uint64_t n = 0;
        int r;

        r = list_count(claim->sys_fd, &n);
        if (r < 0)
                return r;
        if (n > 0 && claim->lock_fd >= 0 && damon_is_ours(claim->sys_fd))
                return list_share(claim);
        if (n > 0 && !(take && all_are(claim->sys_fd, damon_is_off)))
                return -EBUSY;
        return list_make(claim);
}

int damon_claim(DamonClaim *claim, bool take)
{
        int r;

        r = lock_set(claim->lock_fd, F_WRLCK, slot_byte(claim->slot), false);
        if (r < 0)
                return r;

        r = lock_set(claim->lock_fd, F_WRLCK, LOCK_LIST, true);
        if (r >= 0)
                r = list_join(claim, take);
        (void)lock_set(claim->lock_fd, F_UNLCK, LOCK_LIST, false);
        if (r < 0)
                (void)lock_set(claim->lock_fd, F_UNLCK, slot_byte(claim->slot), false);
        return r;
}

/* Of a list that is ours. */
static int list_give_back(int sys_fd, int run_fd, int lock_fd)
{
        bool in_use = false;
        uint64_t n = 0;
        int r;

        r = list_count(sys_fd, &n);
        if (r < 0)
                return r == -EOPNOTSUPP ? note_remove(run_fd) : r;

        for (unsigned i = 0; i < n && i < KDAMONDS_MAX; i++) {
                _cleanup_(closep) int slot_fd = -1;

                if (lock_is_held(lock_fd, slot_byte(i))) {
                        in_use = true;
                        continue;
                }
                r = kdamond_open(sys_fd, i, &slot_fd);
                if (r >= 0)
                        r = damon_turn_off(slot_fd);
                if (r < 0 && r != -ENOENT)
                        return r; /* the note stays */
        }
        if (in_use)
                return 0;
        r = n > 0 ? list_set(sys_fd, 0) : 0;
        return r < 0 ? r : note_remove(run_fd);
}

/* The caller has none of the slots, or is about to give its own up: its own lock never counts. */
static int recover(int sys_fd, int run_fd, int lock_fd)
{
        bool noted = run_fd >= 0 && faccessat(run_fd, DAMON_NOTE, F_OK, 0) == 0;

        if (damon_is_ours(sys_fd) || (noted && all_are(sys_fd, is_blank)))
                return list_give_back(sys_fd, run_fd, lock_fd);
        /* It was not reached, or somebody has taken over. */
        return noted ? note_remove(run_fd) : 0;
}

/* One that is not shared. */
static int release_alone(const DamonClaim *claim)
{
        _cleanup_(closep) int slot_fd = -1;
        int r;

        r = damon_slot_open(claim, &slot_fd);
        if (r >= 0)
                r = damon_turn_off(slot_fd);
        return r < 0 ? r : list_set(claim->sys_fd, 0);
}

int damon_release(DamonClaim *claim)
{
        int r, unlocked;

        if (claim->lock_fd < 0)
                return release_alone(claim);
        r = lock_set(claim->lock_fd, F_WRLCK, LOCK_LIST, true);
        if (r >= 0)
                r = recover(claim->sys_fd, claim->run_fd, claim->lock_fd);
        unlocked = lock_set(claim->lock_fd, F_UNLCK, slot_byte(claim->slot), false);
        (void)lock_set(claim->lock_fd, F_UNLCK, LOCK_LIST, false);
        return r < 0 ? r : unlocked;
}

int damon_recover(int sys_fd, int run_fd)
{
        _cleanup_(closep) int lock_fd = -1;
        int r;

        r = lock_open(run_fd, &lock_fd);
        if (r >= 0)
                r = lock_set(lock_fd, F_WRLCK, LOCK_LIST, true);
        return r < 0 ? r : recover(sys_fd, run_fd, lock_fd);
}

/* Those of the kernel's own modules that use DAMON allow nobody beside them. */
static bool module_has_it(int sys_fd, char *text, size_t size)
{
        static const char *const modules[] = { "damon_stat", "damon_reclaim", "damon_lru_sort" };

        for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
                char path[64], enabled[8];

                snprintf(path, sizeof(path), "module/%s/parameters/enabled", modules[i]);
                if (attr_read(sys_fd, path, enabled, sizeof(enabled)) < 0 || enabled[0] != 'Y')
                        continue;
                snprintf(text, size, "the kernel's %s has DAMON for itself: echo N > /sys/%s",
                         modules[i], path);
                return true;
        }
        return false;
}

/* The kernel thread of the first that is on. */
static bool runner_find(int sys_fd, uint64_t n, char *pid, size_t size)
{
        for (unsigned i = 0; i < n && i < KDAMONDS_MAX; i++) {
                _cleanup_(closep) int slot_fd = -1;

                if (kdamond_open(sys_fd, i, &slot_fd) >= 0 && !damon_is_off(slot_fd) &&
                    attr_read(slot_fd, "pid", pid, size) >= 0)
                        return true;
        }
        return false;
}

bool damon_is_taken(int sys_fd, char *text, size_t size)
{
        char pid[16] = "";
        uint64_t n = 0;

        if (module_has_it(sys_fd, text, size))
                return true;
        if (list_count(sys_fd, &n) < 0 || n == 0 || damon_is_ours(sys_fd))
                return false;

        if (runner_find(sys_fd, n, pid, sizeof(pid)))
                snprintf(text, size, "somebody else uses DAMON (kernel thread %s): end that first",
                         pid);
        else
                snprintf(text, size,
                         "somebody else has set up DAMON: if it is not needed, "
                         "echo 0 > /sys/" N_KDAMONDS);
        return true;
}
