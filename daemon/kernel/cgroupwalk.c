/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/directory.h"
#include "policy/macro.h"

typedef struct Walk Walk;

/* One path for all levels: each appends its name, and cuts it off again. */
struct Walk {
        cgroup_walk_fn fn;
        void *userdata;
        char *path;
        size_t allocated;
        size_t n_visited;
};

/* Puts @name behind the first @length characters. */
static int walk_path_set(Walk *walk, size_t length, const char *name)
{
        size_t needed = length + strlen(name) + 2;

        if (needed > walk->allocated) {
                char *larger = realloc(walk->path, needed * 2);

                if (!larger)
                        return -ENOMEM;
                walk->path = larger;
                walk->allocated = needed * 2;
        }

        if (length > 0 && walk->path[length - 1] != '/')
                walk->path[length++] = '/';
        strcpy(walk->path + length, name);
        return 0;
}

/* kernfs tells what is a directory; a fixture's filesystem need not. */
static bool entry_may_be_cgroup(const struct dirent *entry)
{
        if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
                return false;
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool is_gone(int r)
{
        return r == -ENOENT || r == -ENODEV || r == -ENOTDIR;
}

static int walk_visit(Walk *walk, int cgroup_fd, unsigned depth);

static int walk_below(Walk *walk, int cgroup_fd, unsigned depth)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        size_t length = strlen(walk->path);
        int r;

        r = directory_open(cgroup_fd, ".", &dir);
        if (r < 0)
                return is_gone(r) ? 0 : r;

        for (;;) {
                _cleanup_(closep) int fd = -1;
                struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return is_gone(-errno) ? 0 : -errno;
                if (!entry_may_be_cgroup(entry))
                        continue;

                fd = openat(cgroup_fd, entry->d_name,
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0 && is_gone(-errno))
                        continue;
                if (fd < 0)
                        return -errno;

                r = walk_path_set(walk, length, entry->d_name);
                if (r >= 0)
                        r = walk_visit(walk, fd, depth);
                if (r < 0)
                        return r;
                walk->path[length] = '\0';
        }
}

static int walk_visit(Walk *walk, int cgroup_fd, unsigned depth)
{
        int r;

        if (++walk->n_visited > CGROUP_WALK_MAX)
                return -E2BIG;

        r = walk->fn(cgroup_fd, walk->path, walk->userdata);
        if (r <= 0 || depth >= CGROUP_DEPTH_MAX)
                return r < 0 ? r : 0;

        return walk_below(walk, cgroup_fd, depth + 1);
}

int cgroup_walk(int root_fd, const char *path, cgroup_walk_fn fn, void *userdata)
{
        Walk walk = { .fn = fn, .userdata = userdata };
        _cleanup_(closep) int fd = -1;
        int r;

        r = cgroup_open(root_fd, path, &fd);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        r = walk_path_set(&walk, 0, path);
        if (r >= 0)
                r = walk_visit(&walk, fd, 0);

        free(walk.path);
        return r;
}
