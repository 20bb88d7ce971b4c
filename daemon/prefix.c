/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/prefix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "policy/macro.h"

/* mkdir and rmdir go through the VFS, which tells inotify also on cgroupfs (kernel-facts.md). That a
 * directory itself was removed is not told there by every kernel: its parent is asked. */
#define LEVEL_EVENTS (IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR)

typedef struct Level Level;

/* A cgroup on the way to the one that is wanted. */
struct Level {
        Prefix *prefix;
        const char *child; /* the name in it that matters, the next part of the path */
        ino_t inode;
        sd_event_source *source; /* NULL: it is not there */
};

struct Prefix {
        sd_event *event;
        Rings *rings;
        int cgroup_root_fd;
        prefix_fn fn;
        void *userdata;

        char *path;
        char *parts; /* the path, cut into the names that levels refer to */
        Level *levels;
        size_t n_levels;

        Hearing *hearing; /* NULL: it is not there */
        ino_t inode;      /* 64 bits of kernfs, with a generation: no second cgroup gets it */
        int error;        /* as last told */
};

bool prefix_is_valid(const char *path)
{
        if (strcmp(path, "/") == 0)
                return true;
        if (path[0] != '/')
                return false;

        for (const char *at = path; *at;) {
                size_t length = strcspn(++at, "/");

                if (length == 0)
                        return false;
                if (at[0] == '.' && (length == 1 || (length == 2 && at[1] == '.')))
                        return false;
                at += length;
        }
        return true;
}

bool prefix_covers(const char *above, const char *path)
{
        size_t length = strlen(above);

        if (strcmp(above, "/") == 0)
                return true;
        return strncmp(above, path, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

const char *prefix_path(const Prefix *prefix)
{
        return prefix->path;
}

static int on_level(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
        const Level *level = userdata;

        /* Other names come and go beside the one that matters; an event without one is about the
         * directory itself, or about events that were lost. */
        if (event->len > 0 && strcmp(event->name, level->child) != 0)
                return 0;

        prefix_look(level->prefix); /* has told why not */
        return 0;
}

static int level_look(Level *level, int dir_fd)
{
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *source = NULL;
        struct stat st;
        int r;

        if (fstat(dir_fd, &st) < 0)
                return -errno;
        if (level->source && level->inode == st.st_ino)
                return 0;

        r = sd_event_add_inotify_fd(level->prefix->event, &source, dir_fd, LEVEL_EVENTS, on_level,
                                    level);
        if (r >= 0)
                r = sd_event_source_set_description(source, "watch-cgroup");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(source, true);
        if (r < 0)
                return r;

        sd_event_source_disable_unref(level->source);
        level->source = TAKE_PTR(source);
        level->inode = st.st_ino;
        return 0;
}

static void levels_forget(Prefix *prefix, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++)
                prefix->levels[i].source = sd_event_source_disable_unref(prefix->levels[i].source);
}

/* Goes down the path. Each directory is listened to before the next one is looked for in it, so that none
 * can appear unnoticed. -ENOENT: the way ends. */
static int path_open(Prefix *prefix, int *ret_fd)
{
        _cleanup_(closep) int fd = -1;

        fd = openat(prefix->cgroup_root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        for (size_t i = 0; i < prefix->n_levels; i++) {
                Level *level = &prefix->levels[i];
                int child_fd, r;

                r = level_look(level, fd);
                if (r < 0)
                        return r == -ENODEV ? -ENOENT : r;

                child_fd =
                        openat(fd, level->child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (child_fd < 0) {
                        r = -errno;
                        levels_forget(prefix, i + 1, prefix->n_levels);
                        /* No cgroup can have a name that is too long. */
                        return r == -ENODEV || r == -ENAMETOOLONG ? -ENOENT : r;
                }
                close(fd);
                fd = child_fd;
        }

        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Whether what is heard is still what the path leads to. */
static bool hearing_is_current(const Prefix *prefix)
{
        const char *path = prefix->n_levels > 0 ? prefix->path + 1 : ".";
        struct stat st;

        return prefix->hearing &&
               fstatat(prefix->cgroup_root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               st.st_ino == prefix->inode;
}

/* Returns 1 if a cgroup is heard that was not before. */
static int hearing_look(Prefix *prefix)
{
        _cleanup_(closep) int fd = -1;
        Hearing *hearing = NULL;
        struct stat st;
        int r;

        if (hearing_is_current(prefix))
                return 0;

        /* Only another cgroup can be there now. */
        r = path_open(prefix, &fd);
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r == -ENOENT && prefix->hearing) {
                rings_remove(prefix->rings, prefix->hearing);
                prefix->hearing = NULL;
        }
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        r = rings_add(prefix->rings, fd, &hearing);
        if (r < 0)
                return r;
        if (prefix->hearing)
                rings_remove(prefix->rings, prefix->hearing);
        prefix->hearing = hearing;
        prefix->inode = st.st_ino;

        /* No cgroup goes before those below it: while this one is there, its parent is enough to listen
         * to, and what else comes and goes further up wakes nobody. */
        if (prefix->n_levels > 0)
                levels_forget(prefix, 0, prefix->n_levels - 1);
        return 1;
}

int prefix_look(Prefix *prefix)
{
        int r = hearing_look(prefix), error = r < 0 ? r : 0;
        bool is_news = r > 0 || (error < 0 && error != prefix->error);

        prefix->error = error;
        if (is_news)
                prefix->fn(prefix, error, prefix->userdata);
        return error;
}

/* One level for each part of the path; none for "/", which is always there. */
static int levels_new(Prefix *prefix)
{
        char *state = NULL;
        size_t n_slashes = 0;

        for (const char *at = prefix->path; *at; at++)
                n_slashes += *at == '/';
        prefix->parts = strdup(prefix->path);
        prefix->levels = calloc(n_slashes, sizeof(*prefix->levels));
        if (!prefix->parts || !prefix->levels)
                return -ENOMEM;

        for (char *part = strtok_r(prefix->parts, "/", &state); part;
             part = strtok_r(NULL, "/", &state))
                prefix->levels[prefix->n_levels++] = (Level){ .prefix = prefix, .child = part };
        return 0;
}

int prefix_new(sd_event *event, Rings *rings, int cgroup_root_fd, const char *path, prefix_fn fn,
               void *userdata, Prefix **ret_prefix)
{
        _cleanup_(prefix_freep) Prefix *prefix = NULL;
        int r;

        if (!prefix_is_valid(path))
                return -EINVAL;

        prefix = malloc(sizeof(*prefix));
        if (!prefix)
                return -ENOMEM;
        *prefix = (Prefix){
                .event = sd_event_ref(event),
                .rings = rings,
                .cgroup_root_fd = cgroup_root_fd,
                .fn = fn,
                .userdata = userdata,
                .path = strdup(path),
        };
        if (!prefix->path)
                return -ENOMEM;
        r = levels_new(prefix);
        if (r < 0)
                return r;

        *ret_prefix = TAKE_PTR(prefix);
        return 0;
}

void prefix_free(Prefix *prefix)
{
        if (!prefix)
                return;

        levels_forget(prefix, 0, prefix->n_levels);
        if (prefix->hearing)
                rings_remove(prefix->rings, prefix->hearing);
        sd_event_unref(prefix->event);
        free(prefix->levels);
        free(prefix->parts);
        free(prefix->path);
        free(prefix);
}

void prefix_freep(Prefix **prefix)
{
        prefix_free(*prefix);
}
