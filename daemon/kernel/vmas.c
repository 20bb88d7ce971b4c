/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/vmas.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/kernel/process.h"
#include "daemon/kernel/tracee.h"

/* The ioctl's argument; Debian 12's headers are older than it. */
typedef struct MapQuery {
        uint64_t size;
        uint64_t query_flags; /* 0: the VMA that holds .query_address */
        uint64_t query_address;
        uint64_t start;
        uint64_t end;
        uint64_t flags;
        uint64_t page_size;
        uint64_t offset;
        uint64_t inode;
        uint32_t dev_major;
        uint32_t dev_minor;
        uint32_t name_size;
        uint32_t build_id_size;
        uint64_t name;
        uint64_t build_id;
} MapQuery;

#define MAP_QUERY            _IOWR('f', 17, MapQuery)
#define MAP_QUERY_EXECUTABLE 4u
#define MAP_QUERY_SHARED     8u

int vmas_open(int process_fd, bool by_text, Vmas *vmas)
{
        vmas->by_text = by_text;
        vmas->last = (Vma){};
        vmas->used = vmas->size = 0;
        vmas->fd = openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
        return vmas->fd < 0 ? process_result(process_fd, -errno) : 0;
}

void vmas_close(Vmas *vmas)
{
        if (vmas->fd >= 0)
                close(vmas->fd);
}

static int query(int fd, uint64_t address, Vma *ret_vma)
{
        MapQuery query = { .size = sizeof(query), .query_address = address };

        if (ioctl(fd, MAP_QUERY, &query) < 0)
                return errno == ENOENT ? -EFAULT : -errno;

        *ret_vma = (Vma){
                .start = query.start,
                .end = query.end,
                .offset = query.inode != 0 ? query.offset : 0,
                .inode = query.inode,
                .dev_major = query.dev_major,
                .dev_minor = query.dev_minor,
                .executable = query.flags & MAP_QUERY_EXECUTABLE,
                .shared = query.flags & MAP_QUERY_SHARED,
        };
        return 0;
}

/* At least the head of a line at .used: names are of no interest. 0: the end. */
static int fill(Vmas *vmas)
{
        char *line = vmas->text + vmas->used;
        ssize_t n;

        if (memchr(line, '\n', vmas->size - vmas->used))
                return 1;

        memmove(vmas->text, line, vmas->size - vmas->used);
        vmas->size -= vmas->used;
        vmas->used = 0;
        /* seq_file hands out whole lines: a read that finds room for none fails. */
        n = read(vmas->fd, vmas->text + vmas->size, sizeof(vmas->text) - 1 - vmas->size);
        if (n < 0)
                return -errno;

        vmas->size += (size_t)n;
        vmas->text[vmas->size] = '\0';
        return vmas->size > 0;
}

/* Drops the rest of the line, of which more may be unread. */
static int skip_line(Vmas *vmas)
{
        for (;;) {
                char *line = vmas->text + vmas->used,
                     *end = memchr(line, '\n', vmas->size - vmas->used);
                ssize_t n;

                if (end) {
                        vmas->used += (size_t)(end - line) + 1;
                        return 0;
                }

                n = read(vmas->fd, vmas->text, sizeof(vmas->text) - 1);
                if (n <= 0)
                        return n < 0 ? -errno : -EBADMSG;
                vmas->used = 0;
                vmas->size = (size_t)n;
                vmas->text[n] = '\0';
        }
}

/* A number and the character behind it. maps_parse_line() would allocate the name. */
static bool take_number(const char **text, int base, char delimiter, uint64_t *ret_value)
{
        char *end;
        uint64_t value;

        value = strtoull(*text, &end, base);
        if (end == *text || *end != delimiter)
                return false;

        *text = end + 1;
        *ret_value = value;
        return true;
}

static int parse_line(const char *text, Vma *ret_vma)
{
        uint64_t major, minor;
        Vma vma = {};

        if (!take_number(&text, 16, '-', &vma.start) || !take_number(&text, 16, ' ', &vma.end) ||
            strcspn(text, " ") != strlen("r-xp"))
                return -EBADMSG;
        vma.executable = text[2] == 'x';
        vma.shared = text[3] == 's';
        text += strlen("r-xp ");

        if (!take_number(&text, 16, ' ', &vma.offset) || !take_number(&text, 16, ':', &major) ||
            !take_number(&text, 16, ' ', &minor))
                return -EBADMSG;
        vma.dev_major = (uint32_t)major;
        vma.dev_minor = (uint32_t)minor;
        /* Blank and name, or the end of the line. */
        vma.inode = strtoull(text, NULL, 10);

        *ret_vma = vma;
        return 0;
}

static int next_line(Vmas *vmas, Vma *ret_vma)
{
        Vma vma;
        int r;

        r = fill(vmas);
        if (r <= 0)
                return r < 0 ? r : -EFAULT;

        r = parse_line(vmas->text + vmas->used, &vma);
        if (r < 0)
                return r;

        r = skip_line(vmas);
        if (r < 0)
                return r;

        *ret_vma = vma;
        return 0;
}

static int find_by_text(Vmas *vmas, uint64_t address, uint64_t deadline_ns, Vma *ret_vma)
{
        int r;

        if (address < vmas->last.start) {
                if (lseek(vmas->fd, 0, SEEK_SET) < 0)
                        return -errno;
                vmas->last = (Vma){};
                vmas->used = vmas->size = 0;
        }

        while (vmas->last.end <= address) {
                r = next_line(vmas, &vmas->last);
                if (r < 0)
                        return r;
                if (tracee_now_ns() >= deadline_ns)
                        return -ETIME;
        }
        if (address < vmas->last.start)
                return -EFAULT;

        *ret_vma = vmas->last;
        return 0;
}

int vmas_find(Vmas *vmas, uint64_t address, uint64_t deadline_ns, Vma *ret_vma)
{
        int r;

        if (!vmas->by_text) {
                r = tracee_now_ns() >= deadline_ns ? -ETIME : query(vmas->fd, address, ret_vma);
                if (r != -ENOTTY)
                        return r;
                vmas->by_text = true;
        }

        return find_by_text(vmas, address, deadline_ns, ret_vma);
}
