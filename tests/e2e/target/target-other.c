/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests need around a target: its file, who traces it, who fills the node. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "target.h"

#define MPOL_PREFERRED 1
#define MIB            ((size_t)1 << 20)

/* make FILE PAGES */
static int file_make(const char *path, const char *n_pages)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        size_t n = strtoul(n_pages, NULL, 10);

        file_path = path;
        expect(fd >= 0);
        for (size_t page = 0; page < n; page++) {
                uint64_t words[WORDS];

                for (size_t i = 0; i < WORDS; i++)
                        words[i] = file_word(page, i);
                expect(write(fd, words, PAGE) == (ssize_t)PAGE);
        }
        return 0;
}

/* trace PID: as a debugger does that has let it run. */
static int trace(const char *pid)
{
        expect(ptrace(PTRACE_SEIZE, (pid_t)strtol(pid, NULL, 10), NULL, NULL) == 0);
        say("tracing");
        read_line();
        return 0;
}

static size_t node_free(const char *node)
{
        char path[80], line[160], *key;
        size_t kib = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/sys/devices/system/node/node%s/meminfo", node);
        file = fopen(path, "re");
        expect(file);
        while (fgets(line, sizeof(line), file)) {
                key = strstr(line, "MemFree:");
                if (key)
                        kib = strtoul(key + 8, NULL, 10);
        }
        fclose(file);
        return kib * 1024;
}

/* fill NODE: takes all memory that the node gives, and holds it. Prefers, as a bind to a full node would
 * be the end of somebody. */
static int fill(const char *node)
{
        size_t most = (size_t)8 << 30, filled = 0, step = 32 * MIB;
        unsigned long mask = 1ul << strtoul(node, NULL, 10);
        char *memory = mmap(NULL, most, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        expect(memory != MAP_FAILED);
        expect(syscall(SYS_mbind, memory, most, MPOL_PREFERRED, &mask, sizeof(mask) * 8, 0) == 0);
        /* Large pages for speed alone: refused is as good. Small ones for the rest. */
        madvise(memory, most, MADV_HUGEPAGE);
        while (filled + step <= most) {
                size_t before = node_free(node);

                for (size_t i = 0; i < step; i += PAGE)
                        memory[filled + i] = 1;
                filled += step;
                if (node_free(node) + step / 2 <= before)
                        continue;
                if (step == MIB)
                        break;
                step = MIB;
                madvise(memory, most, MADV_NOHUGEPAGE);
        }
        say("filled %zu MiB, %zu MiB are free", filled / MIB, node_free(node) / MIB);
        read_line();
        return 0;
}

int other_main(int argc, char **argv)
{
        if (argc == 4 && strcmp(argv[1], "make") == 0)
                return file_make(argv[2], argv[3]);
        if (argc == 3 && strcmp(argv[1], "trace") == 0)
                return trace(argv[2]);
        if (argc == 3 && strcmp(argv[1], "fill") == 0)
                return fill(argv[2]);
        if (argc == 4 && strcmp(argv[1], "fresh") == 0)
                return fresh_main(argv[2], argv[3]);
        return 2;
}
