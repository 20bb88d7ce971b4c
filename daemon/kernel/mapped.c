/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/kernel/file.h"
#include "policy/macro.h"

#define DELETED " (deleted)"

#define MAP_FILES_PATH_MAX 64u

static void map_files_path(const Mapping *mapping, char path[static MAP_FILES_PATH_MAX])
{
        snprintf(path, MAP_FILES_PATH_MAX, "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
                 mapping->end);
}

/* Whether @fd is the mapped file. btrfs and overlayfs give stat() device numbers (with major 0) that
 * are not those in maps: there the inode number has to do. */
static bool is_mapped_file(int fd, const Mapping *mapping)
{
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0)
                return false;
        if (stx.stx_ino != mapping->inode)
                return false;

        return stx.stx_dev_major == 0 ||
               (stx.stx_dev_major == mapping->dev_major && stx.stx_dev_minor == mapping->dev_minor);
}

/* Opens @name below @root_fd if it is the mapped file. A mapped file pins its names in the dentry
 * cache, so that no I/O is needed to see whether it still has this one. Root does not try harder: a
 * stranger could put a FUSE filesystem there and let us wait for ever. For others (the kernel also
 * answers EAGAIN where it would have to read an ACL) it is their own files and their own time. */
static int open_named(int root_fd, const char *name, const Mapping *mapping)
{
        struct open_how how = {
                .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT,
        };
        _cleanup_(closep) int fd = -1;

        fd = (int)syscall(SYS_openat2, root_fd, name, &how, sizeof(how));
        if (fd < 0 && errno == EAGAIN && geteuid() != 0) {
                how.resolve &= ~(uint64_t)RESOLVE_CACHED;
                fd = (int)syscall(SYS_openat2, root_fd, name, &how, sizeof(how));
        }
        if (fd < 0)
                return -errno;
        if (!is_mapped_file(fd, mapping))
                return -ESTALE;

        return TAKE_FD(fd);
}

/* The mapped file under @name, which maps prints as seen from our root if the file can be reached
 * from there, and else from the root of its own mount namespace. */
static int open_by_name(int process_fd, const Mapping *mapping, const char *name)
{
        _cleanup_(closep) int ours = -1, theirs = -1;
        int fd = -ENOENT;

        if (name[0] != '/')
                return -ENOENT;

        ours = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (ours >= 0)
                fd = open_named(ours, name, mapping);
        if (fd >= 0)
                return fd;

        theirs = openat(process_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return theirs >= 0 ? open_named(theirs, name, mapping) : -errno;
}

int mapped_open(int process_fd, const Mapping *mapping, int *ret_fd)
{
        char path[MAP_FILES_PATH_MAX];
        int fd;

        if (mapping->inode == 0)
                return -ENOENT;

        map_files_path(mapping, path);
        fd = openat(process_fd, path, O_PATH | O_CLOEXEC);
        if (fd < 0 && mapping->file && !mapping->deleted)
                fd = open_by_name(process_fd, mapping, mapping->file);
        if (fd < 0)
                return -ENOENT;

        *ret_fd = fd;
        return 0;
}

/* Replaces a name that has a newline in it by what map_files says, which escapes nothing. */
static void settle_newline(int process_fd, Mapping *mapping)
{
        char path[MAP_FILES_PATH_MAX], name[PATH_MAX];
        char *copy;
        ssize_t length;

        map_files_path(mapping, path);
        length = readlinkat(process_fd, path, name, sizeof(name));
        if (length <= 0 || (size_t)length == sizeof(name))
                return;

        if (mapping->deleted && (size_t)length > strlen(DELETED))
                length -= (ssize_t)strlen(DELETED);
        copy = strndup(name, (size_t)length);
        if (!copy)
                return;

        free(mapping->file);
        mapping->file = copy;
}

/* Gives the name its " (deleted)" back if it is the name of the mapped file. */
static void settle_deleted(int process_fd, Mapping *mapping)
{
        _cleanup_(freep) char *name = NULL;
        _cleanup_(closep) int fd = -1;

        if (asprintf(&name, "%s" DELETED, mapping->file) < 0) {
                name = NULL; /* asprintf() leaves it undefined */
                return;
        }

        fd = open_by_name(process_fd, mapping, name);
        if (fd < 0)
                return;

        free(mapping->file);
        mapping->file = TAKE_PTR(name);
        mapping->deleted = false;
}

void mapped_settle_name(int process_fd, Mapping *mapping)
{
        if (mapping->inode == 0 || !mapping->file)
                return;

        if (strchr(mapping->file, '\n'))
                settle_newline(process_fd, mapping);
        if (mapping->deleted)
                settle_deleted(process_fd, mapping);
}

/* Shared anonymous memory, System V segments and memfds are files of one tmpfs that is mounted
 * nowhere. Any memfd knows its device number. */
static bool is_on_kernel_tmpfs(const Mapping *mapping)
{
        _cleanup_(closep) int fd = -1;
        struct stat st;

        if (mapping->dev_major != 0)
                return false;

        fd = memfd_create("daxtier", MFD_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return false;

        return major(st.st_dev) == mapping->dev_major && minor(st.st_dev) == mapping->dev_minor;
}

/* Whether a mapping that has an inode is what mmap(MAP_ANONYMOUS) made all the same. */
static bool is_anonymous(const Mapping *mapping, bool on_kernel_tmpfs)
{
        static const char named_shmem[] = "[anon_shmem:";

        if (!mapping->file || mapping->dev_major != 0)
                return false;
        if (on_kernel_tmpfs) /* MAP_SHARED, without and with a name of its own */
                return strcmp(mapping->file, "/dev/zero") == 0 ||
                       strncmp(mapping->file, named_shmem, strlen(named_shmem)) == 0;

        return mapping->deleted && strcmp(mapping->file, "/anon_hugepage") == 0; /* MAP_HUGETLB */
}

/* What is neither a regular file nor device-dax. */
static MappingKind kind_of_special(int fd, const Mapping *mapping)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return MAPPING_FILE_UNKNOWN;
        if (S_ISBLK(st.st_mode))
                return MAPPING_PAGE_CACHE;
        /* A private mapping of /dev/zero is how anonymous memory was made before MAP_ANONYMOUS. */
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5) && !mapping->shared)
                return MAPPING_ANON;

        return MAPPING_FILE_UNKNOWN;
}

static MappingKind kind_of_file(int process_fd, const Mapping *mapping)
{
        _cleanup_(closep) int fd = -1;
        FileFacts facts;
        int r;

        if (mapped_open(process_fd, mapping, &fd) < 0)
                return MAPPING_FILE_UNKNOWN;

        r = file_inspect_at(fd, "", &facts);
        if (r == -ENODEV)
                return kind_of_special(fd, mapping);

        return r < 0 ? MAPPING_FILE_UNKNOWN : facts.kind;
}

void mapped_inspect(int process_fd, Mapping *mapping)
{
        bool on_kernel_tmpfs;

        if (mapping->inode == 0) {
                mapping->kind = MAPPING_ANON;
                return;
        }

        on_kernel_tmpfs = is_on_kernel_tmpfs(mapping);
        if (is_anonymous(mapping, on_kernel_tmpfs))
                mapping->kind = MAPPING_ANON;
        else if (on_kernel_tmpfs)
                mapping->kind = MAPPING_PAGE_CACHE;
        else
                mapping->kind = kind_of_file(process_fd, mapping);
}
