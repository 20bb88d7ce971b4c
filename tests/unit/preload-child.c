/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program that test-preload runs under the shim. It knows nothing of it: it maps FILE in the way
 * that its first argument names and prints the policy that the kernel then shows for the mapping.
 *
 *      preload-child SCENARIO FILE [OBJECT]
 */

#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/macro.h"

#define PAGE  4096u
#define PAGES 8u

#define check(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
                                errno);                                                            \
                        exit(1);                                                                   \
                }                                                                                  \
        } while (0)

static int file_fd;
static const char *object_path;

/* The policy column of numa_maps for the mapping that holds @address; it is mapped. */
static const char *policy_at(const void *address)
{
        static _Thread_local char policy[64];
        FILE *file = fopen("/proc/self/numa_maps", "re");
        char line[4096];

        check(file);
        policy[0] = '\0';
        while (fgets(line, sizeof(line), file)) {
                char candidate[64];
                uintptr_t start;

                check(sscanf(line, "%" SCNxPTR " %63s", &start, candidate) == 2);
                if (start <= (uintptr_t)address)
                        memcpy(policy, candidate, sizeof(policy));
        }
        check(fclose(file) == 0 && policy[0]);

        return policy;
}

static void *map_file(int prot, int flags)
{
        void *address = mmap(NULL, PAGES * PAGE, prot, flags, file_fd, 0);

        check(address != MAP_FAILED);
        return address;
}

static void run_map(void)
{
        puts(policy_at(map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE)));
}

static void run_map64(void)
{
        void *address = mmap64(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_fd, PAGE);

        check(address != MAP_FAILED);
        puts(policy_at(address));
}

static void run_read_only(void)
{
        puts(policy_at(map_file(PROT_READ, MAP_PRIVATE)));
}

static void run_code(void)
{
        puts(policy_at(map_file(PROT_READ | PROT_EXEC, MAP_PRIVATE)));
}

static void run_shared(void)
{
        puts(policy_at(map_file(PROT_READ | PROT_WRITE, MAP_SHARED)));
}

static void run_anonymous(void)
{
        void *address =
                mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        check(address != MAP_FAILED);
        puts(policy_at(address));
}

/* The locale in which fnmatch() would take memory. */
static void run_locale(void)
{
        check(setlocale(LC_ALL, "C.UTF-8"));
        run_map();
        check(MB_CUR_MAX > 1); /* of the thread's locale */
}

static void run_errors(void)
{
        void *address;

        errno = 0;
        check(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
        check(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, file_fd, 0) == MAP_FAILED && errno == EINVAL);
        check(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file_fd, 1) == MAP_FAILED &&
              errno == EINVAL);

        address = map_file(PROT_READ, MAP_PRIVATE);
        check(mmap(address, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, file_fd, 0) ==
                      MAP_FAILED &&
              errno == EEXIST);
        check(mmap(address, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file_fd, 0) == address);

        errno = EUCLEAN;
        map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE);
        check(errno == EUCLEAN);
        puts("same");
}

/* Moved because the page behind it is taken, and grown: the policy must cover all of it. */
static void run_mremap(void)
{
        char *address = map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE), *moved;

        check(mmap(address + PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0) == address + PAGE);
        moved = mremap(address, PAGE, 4 * (size_t)PAGE, MREMAP_MAYMOVE);
        check(moved != MAP_FAILED && moved != address);
        moved[3 * PAGE] = 'x';
        puts(policy_at(moved));
}

static void *map_many(void *argument)
{
        for (unsigned i = 0; i < 200; i++) {
                void *address;

                errno = EUCLEAN;
                address = map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE);
                check(errno == EUCLEAN);
                if (i % 50 == 0)
                        check(strcmp(policy_at(address), "prefer:0") == 0);
                munmap(address, PAGES * PAGE);
        }

        return NULL;
}

static void run_threads(void)
{
        pthread_t threads[8];

        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                check(pthread_create(&threads[i], NULL, map_many, NULL) == 0);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
                check(pthread_join(threads[i], NULL) == 0);
        puts("placed");
}

static volatile sig_atomic_t n_signals;

static void map_in_handler(int number)
{
        int saved = errno;
        void *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_fd, 0);

        if (address == MAP_FAILED || errno != saved)
                abort();
        munmap(address, PAGE);
        n_signals++;
}

/* A handler that maps, fired into malloc(), setlocale() and mmap() itself. */
static void run_signals(void)
{
        const struct itimerval often = { { 0, 200 }, { 0, 200 } };
        struct sigaction action = { .sa_handler = map_in_handler, .sa_flags = SA_RESTART };

        check(sigaction(SIGALRM, &action, NULL) == 0);
        check(setitimer(ITIMER_REAL, &often, NULL) == 0);
        while (n_signals < 300) {
                void *memory = malloc(1000), *address;

                check(memory);
                memset(memory, 1, 1000);
                free(memory);
                check(setlocale(LC_ALL, n_signals % 2 ? "C" : "C.UTF-8"));
                address = map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE);
                munmap(address, PAGES * PAGE);
        }
        check(setitimer(ITIMER_REAL, &(struct itimerval){}, NULL) == 0);
        run_map();
}

static void run_fork(void)
{
        pid_t pid;
        int status;

        pid = fork();
        check(pid >= 0);
        if (pid == 0) {
                run_map();
                exit(0);
        }
        check(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The writable segment of an object that the linker maps for us. OBJECT exports "plugin_text", a
 * string in its .data. */
static void run_dlopen(void)
{
        void *handle = dlopen(object_path, RTLD_NOW), *text;

        if (!handle) {
                fprintf(stderr, "%s\n", dlerror());
                exit(1);
        }
        text = dlsym(handle, "plugin_text");
        check(text);
        puts(policy_at(text));
}

/* OBJECT finds another by its own RUNPATH, which it only does if the linker sees it as the caller. */
static void run_dlopen_runpath(void)
{
        void *handle = dlopen(object_path, RTLD_NOW);
        int (*find)(void);

        check(handle);
        find = (int (*)(void))dlsym(handle, "plugin_find_other");
        check(find);
        puts(find() ? "found" : "lost");
}

/* OBJECT was preloaded behind the shim and mapped FILE in its constructor, before the shim's. */
static void run_early(void)
{
        void **address = dlsym(RTLD_DEFAULT, "plugin_early");

        check(address && *address && *address != MAP_FAILED);
        puts(policy_at(*address));
}

static const struct {
        const char *name;
        void (*run)(void);
} scenarios[] = {
        { "map", run_map },
        { "map64", run_map64 },
        { "read-only", run_read_only },
        { "code", run_code },
        { "shared", run_shared },
        { "anonymous", run_anonymous },
        { "locale", run_locale },
        { "errors", run_errors },
        { "mremap", run_mremap },
        { "threads", run_threads },
        { "signals", run_signals },
        { "fork", run_fork },
        { "dlopen", run_dlopen },
        { "dlopen-runpath", run_dlopen_runpath },
        { "early", run_early },
};

int main(int argc, char **argv)
{
        check(argc >= 3);
        file_fd = open(argv[2], O_RDWR | O_CLOEXEC);
        check(file_fd >= 0);
        object_path = argc > 3 ? argv[3] : NULL;

        for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
                if (strcmp(argv[1], scenarios[i].name) == 0) {
                        scenarios[i].run();
                        return 0;
                }

        fprintf(stderr, "no scenario %s\n", argv[1]);
        return 1;
}
