/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>

#include "client/daxtier.h"
#include "policy/macro.h"

typedef struct ErrorText ErrorText;

struct ErrorText {
        int error;
        const char *text;
};

static const ErrorText error_texts[] = {
        { 0, "Success." },
        { E2BIG, "The program uses options that this version of libdaxtier does not know: "
                 "install a newer libdaxtier." },
        { EACCES, "Access is denied: open the file for reading; for another user's process, run as "
                  "that user or as root." },
        { EAGAIN, "Too much memory would be locked: raise RLIMIT_MEMLOCK or do without "
                  "mlockall(MCL_FUTURE)." },
        { EBADF, "The file descriptor is not open, or was opened with O_PATH: pass one that "
                 "open() returned." },
        { EBADMSG, "The kernel's description of the mapping cannot be understood: report this "
                   "with the output of uname -r." },
        { EDOM, "That is no tier: use \"cheap\", \"fast\", \"default\" or \"node:\" and a list "
                "such as \"node:2-3\"." },
        { EFAULT, "Nothing is mapped there, or only in part: pass a range that is mapped whole." },
        { EINVAL, "An argument is wrong: offsets and addresses are multiples of the page size, "
                  "flags are known DAXTIER_ flags, the options' size is their sizeof." },
        { EISDIR, "The file descriptor is a directory: open a file in it." },
        { EMEDIUMTYPE, "The file goes through the page cache and DAXTIER_DIRECT refuses that: put "
                       "it on a filesystem mounted with -o dax, or drop the flag." },
        { EMFILE, "The process has too many open files: close some or raise RLIMIT_NOFILE." },
        { ENFILE, "The system has too many open files: close some or raise fs.file-max." },
        { ENODATA, "The length is 0: pass at least one byte." },
        { ENODEV, "This cannot be mapped: pass a regular file, not a pipe, socket or device." },
        { ENOENT, "The range was not made by daxtier_map() of this handle: use munmap(), or the "
                  "handle that made it." },
        { ENOMEM, "No memory or address space is left, or vm.max_map_count is reached." },
        { ENOSPC, "The tier's nodes lack the room and DAXTIER_STRICT forbids others: free some, "
                  "online more, or drop the flag." },
        { ENXIO, "The tier has no NUMA node on this machine: online one (daxtier online DEVICE) "
                 "or see what is missing with daxtier doctor." },
        { ENOSYS,
          "The kernel shows no NUMA nodes: mount /sys, or boot a kernel with CONFIG_NUMA." },
        { EOPNOTSUPP, "The kernel maps device-dax shared only: put the data into a file on a DAX "
                      "filesystem, or online the device as memory." },
        { EOVERFLOW, "The offset is behind the end of the file, or offset and length together are "
                     "too large: map within the file." },
        { EPERM,
          "The kernel denies this: the cpuset (cpuset.mems) leaves out the tier's nodes, a "
          "container's seccomp filter denies mbind(), or the filesystem is mounted noexec." },
        { ESRCH, "There is no such process: it may have ended." },
};

const char *daxtier_strerror(int error)
{
        for (size_t i = 0; i < ARRAY_SIZE(error_texts); i++)
                if (error == error_texts[i].error || error == -error_texts[i].error)
                        return error_texts[i].text;

        return "The kernel refused for a reason of its own: see errno(3) for the number.";
}

const char *daxtier_version(void)
{
        return PROJECT_VERSION;
}
