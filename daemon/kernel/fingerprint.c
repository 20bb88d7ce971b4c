/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

#define CHUNK 65536u

/* FNV-1a, 64 bits. */
#define HASH_BASIS UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static int hash_file(int process_fd, const char *name, uint64_t *hash)
{
        _cleanup_(closep) int fd = openat(process_fd, name, O_RDONLY | O_CLOEXEC);
        unsigned char text[CHUNK];
        uint64_t left = MAPS_BYTES_MAX;
        ssize_t n;

        if (fd < 0)
                return process_result(process_fd, -errno);

        do {
                n = read(fd, text, sizeof(text));
                if (n < 0)
                        return process_result(process_fd, -errno);
                for (ssize_t i = 0; i < n; i++)
                        *hash = (*hash ^ text[i]) * HASH_PRIME;
                left -= (uint64_t)n;
        } while (n > 0 && left >= sizeof(text));

        return 0;
}

int process_fingerprint(int process_fd, uint64_t *ret_fingerprint)
{
        uint64_t hash = HASH_BASIS;
        int r;

        r = hash_file(process_fd, "cgroup", &hash);
        if (r >= 0)
                r = hash_file(process_fd, "maps", &hash);
        if (r < 0)
                return r;

        *ret_fingerprint = hash;
        return 0;
}
