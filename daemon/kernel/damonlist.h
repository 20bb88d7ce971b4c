/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The one list of kdamonds that the machine has. Setting its length drops what is in it, so it is only
 * taken when it is empty, and then with a kdamond for each of our users, who may work at the same time.
 * Who of ours is alive, a lock in /run/daxtierd tells, which ends with its owner: the last one gives the
 * list back. @sys_fd is an open /sys. */

/* In /run/daxtierd while the list is, or is about to be, ours. */
#define DAMON_NOTE "damon"

/* And the lock. */
#define DAMON_LOCK "damon.lock"

typedef struct DamonClaim DamonClaim;

/* Each is the kdamond of that number. */
typedef enum DamonSlot {
        DAMON_SLOT_HEAT, /* the schemes that are there as long as the policies are */
        DAMON_SLOT_MOVE, /* a relocation's pass */
        DAMON_SLOTS,
} DamonSlot;

/* A user's part of the list. A child process shares what its parent has opened. */
struct DamonClaim {
        int sys_fd;  /* not owned, nor is run_fd */
        int run_fd;  /* /run/daxtierd; -1: the list is not shared with anybody */
        int lock_fd; /* -1: no lock */
        DamonSlot slot;
};

#define DAMON_CLAIM_NONE                                                                           \
        (DamonClaim)                                                                               \
        {                                                                                          \
                .sys_fd = -1, .run_fd = -1, .lock_fd = -1                                          \
        }

/* Nothing is taken yet. */
int damon_claim_open(int sys_fd, int run_fd, DamonSlot slot, DamonClaim *ret_claim);
/* Does not give back: damon_release() does. */
void damon_claim_close(DamonClaim *claim);

/* Takes the list, or the share in it if it is ours already; the kdamond is off. With @take, also a list
 * that somebody else has set up and in which nothing runs. -EOPNOTSUPP: the kernel has no DAMON sysfs;
 * -EBUSY: somebody else uses it, or another one of ours has this very kdamond. */
int damon_claim(DamonClaim *claim, bool take);

/* Turns ours off, and gives the list back unless another one of ours is still at it. Waits for the page
 * that is just being moved. */
int damon_release(DamonClaim *claim);

/* kernel/mm/damon/admin/kdamonds/<slot>. -ENOENT: somebody has taken the list from us. */
int damon_slot_open(const DamonClaim *claim, int *ret_fd);

/* attr_write(), again while DAMON is busy with another's command for a moment: its lock is only tried. */
int damon_write(int dir_fd, const char *path, const char *text);

/* Whether that kdamond is off, below its directory. */
bool damon_is_off(int slot_fd);
int damon_turn_off(int slot_fd);

/* Whether all kdamonds there are bear our mark, by which those of a killed process are known. */
bool damon_is_ours(int sys_fd);

/* Whether somebody else has DAMON, as far as that can be told, and a sentence with what to do. */
bool damon_is_taken(int sys_fd, char *text, size_t size);

/* Turns off and gives back what a killed one of ours has left; what others of ours use now stays. */
int damon_recover(int sys_fd, int run_fd);
