/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The whole road on this machine: real perf events, a real injector, programs that map files; node 0
 * stands for the cheap tier. */

#include <numaif.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <threads.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/threadpolicy.h"
#include "daemon/placement.h"
#include "tests/unit/injector-child.h"
#include "tests/unit/watched.h"

#define LENGTH ((size_t)2 << 20)

/* A cgroup, its policy, and a program in it that does what it is told. */
typedef struct Road {
        Watched *watched; /* for its cgroups */
        Scratch scratch;
        Injector injector;
        Placement *placement;
        int file_fd;
} Road;

static Road road;

static inline void rules_set(const char *more)
{
        _cleanup_(freep) char *text = NULL;
        Rule *rules = calloc(1, sizeof(*rules));

        cr_assert_gt(asprintf(&text, "[Match]\nCgroup=%s/**\n[Limits]\nPauseMax=1s\n%s",
                              road.watched->group, more),
                     0);
        cr_assert_eq(rule_parse("10-test.conf", text, rules, NULL), 0, "%s", text);
        cr_assert_eq(placement_set_rules(road.placement, rules, 1), 0);
}

/* How often relocations were begun, and how the next one ends: seen by their processes, too. */
typedef struct Moves {
        unsigned n_begun;
        uint64_t bytes_turn; /* as the last one was asked */
        bool anonymous;
        RelocateResult result;

        RelocateKind kinds[8]; /* of cgroups: the first ones that were asked for */
        unsigned n_kinds;
        uint64_t keep_bytes;
        RelocateResult results[RELOCATE_KINDS]; /* of cgroups, by kind */
} Moves;

static Moves *moves;

static inline void on_cgroup_relocation(const RelocateRequest *request, int result_fd)
{
        const RelocateResult *result = &moves->results[request->kind];

        if (moves->n_kinds < ARRAY_SIZE(moves->kinds))
                moves->kinds[moves->n_kinds++] = request->kind;
        moves->keep_bytes = request->keep_bytes;
        if (strcmp(request->cgroup, road.watched->group) != 0 ||
            write(result_fd, result, sizeof(*result)) != sizeof(*result))
                _exit(EIO);
}

static inline void on_relocation(const RelocateRequest *request, int result_fd)
{
        if (request->kind != RELOCATE_PROCESS) {
                on_cgroup_relocation(request, result_fd);
                return;
        }
        moves->n_begun++;
        moves->bytes_turn = request->bytes_turn;
        moves->anonymous = request->anonymous;
        if (write(result_fd, &moves->result, sizeof(moves->result)) != sizeof(moves->result))
                _exit(EIO);
}

/* Once it has answered it can be ended in good order. */
static inline void injector_await(void)
{
        const InjectRequest nonsense = {};
        InjectOutcome outcome;
        int fd = injector_connect(&road.injector);

        cr_assert_eq(injector_ask(fd, &nonsense, &outcome), 0);
        close(fd);
}

/* A run of the service. What the one before left behind is in the scratch directory. */
static inline void road_start(void)
{
        PlacementHost host = { .relocate = on_relocation, .injector_path = road.injector.path };
        Tiers tiers = {};

        host.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        host.sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        host.run_fd = fcntl(road.scratch.fd, F_DUPFD_CLOEXEC, 0);
        cr_assert_eq(cgroup_root_open(&host.cgroup_fd), 0);
        cr_assert_eq(placement_new(road.watched->event, &host, &road.placement), 0);
        nodeset_add(&tiers.cheap, 0);
        placement_set_tiers(road.placement, &tiers);
}

static inline void setup(void)
{
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);

        moves = mmap(NULL, sizeof(*moves), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
        cr_assert_neq(moves, MAP_FAILED);
        road.watched = watched_new();
        road.watched->watch = watch_free(road.watched->watch);
        group_make(road.watched, "");
        road.scratch = scratch_new();
        road.file_fd = openat(road.scratch.fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        cr_assert_eq(ftruncate(road.file_fd, (off_t)LENGTH), 0);
        road.injector = injector_new();
        injector_await();

        road_start();
}

static inline void teardown(void)
{
        placement_free(road.placement);
        if (road.injector.pid > 0)
                injector_end(&road.injector);
        close(road.file_fd);
        scratch_freep(&road.scratch);
        group_remove(road.watched, "");
        watched_freep(&road.watched);
}

typedef struct Program {
        pid_t pid;
        int in, out;
        uint64_t address;
} Program;

static inline int pause_in_thread(void *tid)
{
        *(pid_t *)tid = gettid();
        for (;;)
                pause();
        return 0;
}

static inline pid_t thread_start(void)
{
        static volatile pid_t tid;
        thrd_t thread;

        tid = 0;
        if (thrd_create(&thread, pause_in_thread, (void *)&tid) != thrd_success)
                _exit(1);
        while (tid == 0)
                thrd_yield();
        return tid;
}

/* Commands of one letter: m(ap), w(rite), b(ind to node 0), f(ork, and be the parent), e(xec), u(nmap),
 * p(rotect the second half), t(hread), o(wn policy of the thread).
 * Answers each with the mapping's address; f and t with the child's or thread's number after it. */
static inline void obey(int in, int out)
{
        char *address = NULL, command;

        while (read(in, &command, 1) == 1) {
                unsigned long node0 = 1;
                pid_t child = 0;

                if (command == 'm')
                        address = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                                       road.file_fd, 0);
                if (command == 'w')
                        memset(address, 1, LENGTH);
                if (command == 'b' &&
                    syscall(SYS_mbind, address, LENGTH, MPOL_BIND, &node0, 64, 0) < 0)
                        _exit(1);
                if (command == 'p' && mprotect(address + LENGTH / 2, LENGTH / 2, PROT_READ) < 0)
                        _exit(1);
                if (command == 'u')
                        munmap(address, LENGTH);
                if (command == 'f') {
                        pid_t parent = getpid();

                        child = fork();
                        if (child == 0) {
                                prctl(PR_SET_PDEATHSIG, SIGKILL);
                                while (getppid() == parent) /* it may have died before */
                                        pause();
                                _exit(0);
                        }
                }
                if (command == 't')
                        child = thread_start();
                if (command == 'o' && syscall(SYS_set_mempolicy, MPOL_BIND, &node0, 64) < 0)
                        _exit(1);
                if (command == 'e')
                        execl("/bin/sleep", "sleep", "1000", NULL);
                if (write(out, &address, sizeof(address)) != sizeof(address) ||
                    (child > 0 && write(out, &child, sizeof(child)) != sizeof(child)))
                        _exit(1);
        }
        _exit(0);
}

static inline Program program_start(void)
{
        int in[2], out[2];
        Program program;
        char path[PATH_MAX];
        int fd;

        cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
        cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
        snprintf(path, sizeof(path), "%s/cgroup.procs", road.watched->group + 1);
        fd = openat(road.watched->root_fd, path, O_WRONLY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        program.pid = fork();
        cr_assert_geq(program.pid, 0);
        if (program.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(in[1]);
                close(out[0]);
                if (write(fd, "0", 1) != 1)
                        _exit(1);
                obey(in[0], out[1]);
        }
        close(fd);
        close(in[0]);
        close(out[1]);
        program.in = in[1];
        program.out = out[0];
        return program;
}

static inline void tell(Program *program, char command)
{
        cr_assert_eq(write(program->in, &command, 1), 1);
        cr_assert_eq(read(program->out, &program->address, sizeof(program->address)),
                     sizeof(program->address), "the program was harmed at '%c'", command);
}

/* The same, of a command that makes a process or a thread. */
static inline pid_t tell_child(Program *program, char command)
{
        pid_t child;

        tell(program, command);
        cr_assert_eq(read(program->out, &child, sizeof(child)), sizeof(child));
        return child;
}

static inline void program_end(const Program *program)
{
        close(program->in);
        watched_reap(program->pid);
        close(program->out);
}

static inline const TargetMapping *mapping_of(pid_t pid, uint64_t address)
{
        const Target *target = targets_find(&road.placement->targets, pid);

        for (size_t i = 0; target && i < target->n_mappings; i++)
                if (target->mappings[i].start == address)
                        return &target->mappings[i];
        return NULL;
}

static inline bool is_so(pid_t pid, uint64_t address, MappingState state, const char *reason)
{
        const TargetMapping *mapping = mapping_of(pid, address);

        return mapping && mapping->state == state && strstr(mapping->reason, reason);
}

/* Runs the loop until the mapping is in that state, for a reason that has these words. */
static inline void await_state(const Program *program, MappingState state, const char *reason)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (!is_so(program->pid, program->address, state, reason)) {
                const TargetMapping *mapping = mapping_of(program->pid, program->address);

                cr_assert_leq(time(NULL), end, "not %s: %s, %s (%d)", mapping_state_name(state),
                              mapping ? mapping_state_name(mapping->state) : "unknown",
                              mapping ? mapping->reason : "", road.placement->injector_error);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static inline void await_forgotten(pid_t pid)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (targets_find(&road.placement->targets, pid)) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static inline VmaPolicy policy_of(pid_t pid, uint64_t address)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              process_fd = -1;
        _cleanup_(mapping_deinit) Mapping mapping = {};

        cr_assert_eq(process_open(proc_fd, pid, &process_fd), 0);
        cr_assert_eq(mapping_find(process_fd, address, &mapping), 0);
        return mapping.policy;
}

static inline void await_policy(pid_t pid, uint64_t address, VmaPolicy policy)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (policy_of(pid, address) != policy) {
                cr_assert_leq(time(NULL), end, "process %d, %d", pid, policy_of(pid, address));
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static inline VmaPolicy thread_policy(pid_t pid, pid_t tid)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              process_fd = -1;
        VmaPolicy policy;
        NodeSet nodes;

        cr_assert_eq(process_open(proc_fd, pid, &process_fd), 0);
        cr_assert_eq(thread_policy_read(process_fd, tid, &policy, &nodes), 0);
        return policy;
}

static inline void await_thread(pid_t pid, pid_t tid, VmaPolicy policy)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (thread_policy(pid, tid) != policy) {
                cr_assert_leq(time(NULL), end, "thread %d: %d", tid, thread_policy(pid, tid));
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

/* Runs the loop for so long, whatever happens. */
static inline void run_for(unsigned milliseconds)
{
        uint64_t now, end;

        cr_assert_geq(sd_event_now(road.watched->event, CLOCK_MONOTONIC, &now), 0);
        for (end = now + milliseconds * UINT64_C(1000); now < end;) {
                cr_assert_geq(sd_event_run(road.watched->event, end - now), 0);
                cr_assert_geq(sd_event_now(road.watched->event, CLOCK_MONOTONIC, &now), 0);
        }
}

/* Until so many relocations have been begun. What comes without end comes many times in no time; how
 * often in a given time a busy machine decides. */
static inline void await_moves(unsigned n)
{
        const time_t end = time(NULL) + AWAIT_SEC;

        while (moves->n_begun < n) {
                cr_assert_leq(time(NULL), end, "%u moves were begun", moves->n_begun);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

#define RoadTest(suite, name) Test(suite, name, .init = setup, .fini = teardown, .timeout = 120)
