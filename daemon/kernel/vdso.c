/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/vdso.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/injectarch.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/tracee.h"
#include "policy/macro.h"

#define PAGE_SIZE_MIN 4096u

/* Pairs of words; the kernel's own limit is about 50. */
#define AUXV_MAX 96u

/* Whole pages are mapped, and all of them are the image's. */
static size_t image_size(const unsigned char *image)
{
        const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
        size_t end = 0;

        for (unsigned i = 0; i < header->e_phnum; i++) {
                const Elf64_Phdr *segment = (const Elf64_Phdr *)(image + header->e_phoff) + i;

                if (segment->p_type == PT_LOAD && segment->p_offset + segment->p_filesz > end)
                        end = segment->p_offset + segment->p_filesz;
        }

        return (end + PAGE_SIZE_MIN - 1) / PAGE_SIZE_MIN * PAGE_SIZE_MIN;
}

int vdso_own(Vdso *ret_vdso)
{
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): so getauxval(3) has it */
        const unsigned char *image = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
        Vdso vdso = { .image = image };
        int r;

        if (!image || memcmp(image, ELFMAG, SELFMAG) != 0 || image[EI_CLASS] != ELFCLASS64)
                return -ENOTSUP;

        vdso.size = image_size(image);
        if (vdso.size == 0 || vdso.size > VDSO_SIZE_MAX)
                return -ENOTSUP;

        r = arch_find_call(image, vdso.size, &vdso.call);
        if (r < 0)
                return -ENOTSUP;

        *ret_vdso = vdso;
        return 0;
}

int vdso_locate(int process_fd, uint64_t *ret_address)
{
        uint64_t auxv[2 * AUXV_MAX];
        _cleanup_(closep) int fd = openat(process_fd, "auxv", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        n = fd < 0 ? -1 : read(fd, auxv, sizeof(auxv));
        if (n < 0)
                return process_result(process_fd, -errno);
        if (n == 0)
                return process_without_memory(process_fd) < 0 ? -ESRCH : -ENOENT;
        /* Nothing at all: it is in the middle of an execve(), where the new memory has neither yet. */
        if (auxv[0] == AT_NULL)
                return -EAGAIN;
        /* Two words of 32 bits, a key and a value, that look like one key of 64. */
        if (auxv[0] > UINT32_MAX)
                return -ENOEXEC;

        for (size_t i = 0; i + 1 < (size_t)n / sizeof(*auxv); i += 2)
                if (auxv[i] == AT_SYSINFO_EHDR && auxv[i + 1] != 0) {
                        *ret_address = auxv[i + 1];
                        return 0;
                }

        return -ENOENT;
}

int vdso_compare(const Vdso *vdso, pid_t tid, uint64_t address)
{
        unsigned char page[PAGE_SIZE_MIN];
        int r;

        for (size_t at = 0; at < vdso->size; at += sizeof(page)) {
                r = tracee_read(tid, address + at, page, sizeof(page));
                if (r < 0)
                        return r;
                if (memcmp(page, vdso->image + at, sizeof(page)) != 0)
                        return -EMEDIUMTYPE;
        }

        return 0;
}

/* Whether the first @n_bits from @bytes on are those of @nodes. */
static bool bits_agree(const unsigned char *bytes, const NodeSet *nodes, unsigned n_bits)
{
        NodeSet found = {};

        memcpy(found.bits, bytes, (n_bits + 7) / 8);
        if (n_bits % 8 != 0) {
                unsigned char *last = (unsigned char *)found.bits + n_bits / 8;

                *last = (unsigned char)(*last & ((1u << (n_bits % 8)) - 1));
        }

        return nodeset_equal(&found, nodes);
}

int vdso_find_nodes(const unsigned char *image, size_t size, const NodeSet *nodes,
                    size_t *ret_offset, unsigned *ret_maxnode)
{
        unsigned n_bits = 0;
        size_t words;

        for (int node = nodeset_next(nodes, 0); node >= 0;
             node = nodeset_next(nodes, (unsigned)node + 1))
                n_bits = (unsigned)node + 1;
        if (n_bits == 0)
                return -ENOENT;

        /* The kernel copies whole words, at any alignment, and then masks. */
        words = (n_bits + NODESET_BITS_PER_WORD - 1) / NODESET_BITS_PER_WORD;
        for (size_t at = 0; at + words * sizeof(unsigned long) <= size; at++)
                if (bits_agree(image + at, nodes, n_bits)) {
                        *ret_offset = at;
                        *ret_maxnode = n_bits + 1;
                        return 0;
                }

        return -ENOENT;
}
