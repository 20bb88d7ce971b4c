/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole road on this machine: real perf events, a real injector, programs that map files; node 0
 * stands for the cheap tier. */
#include <numaif.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/process.h"
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

static void rules_set(const char *more)
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
        uint64_t bytes_max; /* as the last one was asked */
        RelocateResult result;
} Moves;

static Moves *moves;

static void on_relocation(const RelocateRequest *request, int result_fd)
{
        moves->n_begun++;
        moves->bytes_max = request->bytes_max;
        if (write(result_fd, &moves->result, sizeof(moves->result)) != sizeof(moves->result))
                _exit(EIO);
}

/* Once it has answered it can be ended in good order. */
static void injector_await(void)
{
        const InjectRequest nonsense = {};
        InjectOutcome outcome;
        int fd = injector_connect(&road.injector);

        cr_assert_eq(injector_ask(fd, &nonsense, &outcome), 0);
        close(fd);
}

static void setup(void)
{
        PlacementHost host = { .relocate = on_relocation };
        Tiers tiers = {};
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

        host.injector_path = road.injector.path;
        host.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        host.sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(cgroup_root_open(&host.cgroup_fd), 0);
        cr_assert_eq(placement_new(road.watched->event, &host, &road.placement), 0);
        nodeset_add(&tiers.cheap, 0);
        placement_set_tiers(road.placement, &tiers);
}

static void teardown(void)
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

/* Commands of one letter: m(ap), w(rite), b(ind to node 0), f(ork, and be the parent), e(xec), u(nmap),
 * p(rotect the second half).
 * Answers each with the mapping's address. */
static void obey(int in, int out)
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
                        child = fork();
                        if (child == 0) {
                                prctl(PR_SET_PDEATHSIG, SIGKILL);
                                for (;;)
                                        pause();
                        }
                }
                if (command == 'e')
                        execl("/bin/sleep", "sleep", "1000", NULL);
                if (write(out, &address, sizeof(address)) != sizeof(address) ||
                    (child > 0 && write(out, &child, sizeof(child)) != sizeof(child)))
                        _exit(1);
        }
        _exit(0);
}

static Program program_start(void)
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

static void tell(Program *program, char command)
{
        cr_assert_eq(write(program->in, &command, 1), 1);
        cr_assert_eq(read(program->out, &program->address, sizeof(program->address)),
                     sizeof(program->address), "the program was harmed at '%c'", command);
}

static void program_end(const Program *program)
{
        close(program->in);
        watched_reap(program->pid);
        close(program->out);
}

static const TargetMapping *mapping_of(pid_t pid, uint64_t address)
{
        const Target *target = targets_find(&road.placement->targets, pid);

        for (size_t i = 0; target && i < target->n_mappings; i++)
                if (target->mappings[i].start == address)
                        return &target->mappings[i];
        return NULL;
}

static bool is_so(pid_t pid, uint64_t address, MappingState state, const char *reason)
{
        const TargetMapping *mapping = mapping_of(pid, address);

        return mapping && mapping->state == state && strstr(mapping->reason, reason);
}

/* Runs the loop until the mapping is in that state, for a reason that has these words. */
static void await_state(const Program *program, MappingState state, const char *reason)
{
        const time_t end = time(NULL) + 20;

        while (!is_so(program->pid, program->address, state, reason)) {
                const TargetMapping *mapping = mapping_of(program->pid, program->address);

                cr_assert_leq(time(NULL), end, "not %s: %s, %s (%d)", mapping_state_name(state),
                              mapping ? mapping_state_name(mapping->state) : "unknown",
                              mapping ? mapping->reason : "", road.placement->injector_error);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static void await_forgotten(pid_t pid)
{
        const time_t end = time(NULL) + 20;

        while (targets_find(&road.placement->targets, pid)) {
                cr_assert_leq(time(NULL), end);
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

static VmaPolicy policy_of(pid_t pid, uint64_t address)
{
        _cleanup_(closep) int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                              process_fd = -1;
        _cleanup_(mapping_deinit) Mapping mapping = {};

        cr_assert_eq(process_open(proc_fd, pid, &process_fd), 0);
        cr_assert_eq(mapping_find(process_fd, address, &mapping), 0);
        return mapping.policy;
}

static void await_policy(pid_t pid, uint64_t address, VmaPolicy policy)
{
        const time_t end = time(NULL) + 20;

        while (policy_of(pid, address) != policy) {
                cr_assert_leq(time(NULL), end, "process %d, %d", pid, policy_of(pid, address));
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        }
}

/* Runs the loop for so long, whatever happens. */
static void run_for(unsigned milliseconds)
{
        uint64_t now, end;

        cr_assert_geq(sd_event_now(road.watched->event, CLOCK_MONOTONIC, &now), 0);
        for (end = now + milliseconds * UINT64_C(1000); now < end;) {
                cr_assert_geq(sd_event_run(road.watched->event, end - now), 0);
                cr_assert_geq(sd_event_now(road.watched->event, CLOCK_MONOTONIC, &now), 0);
        }
}

#define RoadTest(name) Test(placement, name, .init = setup, .fini = teardown, .timeout = 60)

RoadTest(a_new_mapping_gets_its_policy)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_PREFERRED);
        cr_assert_eq(road.placement->account.injections_done, 1);
        cr_assert_eq(road.placement->account.place_latency.n, 1);
        tell(&program, 'w');
        program_end(&program);
        await_forgotten(program.pid);
}

RoadTest(a_few_looks_in_a_row_are_free_and_many_are_not)
{
        Program program;
        Target *target;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert_leq(target->rest_usec, target->scanned_usec, "the next mapping would wait");

        for (unsigned i = 0; i < 1000000 && target->rest_usec <= target->scanned_usec; i++)
                cr_assert_eq(placement_look(road.placement, target), 0);
        cr_assert_gt(target->rest_usec, target->scanned_usec);
        cr_assert_leq(target->rest_usec, target->scanned_usec + 1000000);
        program_end(&program);
}

RoadTest(a_policy_that_comes_later_finds_what_is_there)
{
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'w');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_PREFERRED);
        cr_assert_eq(mapping_of(program.pid, program.address)->cheap_bytes, LENGTH);
        program_end(&program);
}

RoadTest(page_cache_is_not_dax)
{
        Program program = program_start(), other;

        rules_set("[Cow]\nFile=dax\n");
        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        other = program_start();
        tell(&other, 'm');
        await_state(&other, MAPPING_PLACED, "");
        rules_set("[Cow]\nFile=dax\n");
        tell(&program, 'w');
        while (mapping_of(program.pid, program.address) || mapping_of(other.pid, other.address))
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&other); /* which has the pipes of the first open, too */
        program_end(&program);
}

RoadTest(a_policy_of_its_own_is_left)
{
        Program program = program_start();

        tell(&program, 'm');
        tell(&program, 'b');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_SKIPPED, "of its own");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        cr_assert_eq(road.placement->account.injections_done, 0);
        program_end(&program);
}

RoadTest(what_we_gave_is_taken_back)
{
        Program program = program_start();

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        rules_set("[Cow]\nFile=*/file\nStrict=yes\n");
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        program_end(&program);
}

static bool is_placed_soon(const Program *program)
{
        for (unsigned i = 0; i < 1000; i++) {
                if (policy_of(program->pid, program->address) != VMA_POLICY_DEFAULT)
                        return true;
                sched_yield();
        }
        return false;
}

/* The answer to a call that was under way at the reload is not heard any more. */
RoadTest(what_it_was_just_getting_is_taken_back_too)
{
        Program program = program_start();
        const Target *target;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        do {
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
                target = targets_find(&road.placement->targets, program.pid);
        } while (!target || !target->apply);
        /* One source at a time, and a moment after each: the call is made before its answer is heard. */
        while (!is_placed_soon(&program)) {
                cr_assert_not_null(target->apply, "its answer was heard");
                cr_assert_geq(sd_event_run(road.watched->event, 0), 0);
        }

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&program);
}

/* SIGSTOP or SIGCONT for those that make the calls. */
static void injector_signal(int number)
{
        char path[64], line[256], *at = line;
        FILE *children;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", road.injector.pid,
                 road.injector.pid);
        children = fopen(path, "re");
        cr_assert_not_null(children);
        cr_assert_not_null(fgets(line, sizeof(line), children));
        fclose(children);
        for (char *end; *at != '\0' && *at != '\n'; at = end + strspn(end, " "))
                cr_assert_eq(kill((pid_t)strtol(at, &end, 10), number), 0);
}

/* The look after the reload sees nothing to take back yet; the call is made after it. */
RoadTest(what_it_gets_after_the_reload_is_taken_back_too)
{
        Program program = program_start();
        const Target *target;

        tell(&program, 'm');
        injector_signal(SIGSTOP);
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACING, "");
        run_for(100);
        target = targets_find(&road.placement->targets, program.pid);
        cr_assert(target && target->apply, "it is being made");

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_state(&program, MAPPING_SKIPPED, "Tier=default");
        injector_signal(SIGCONT);
        while (road.placement->account.injections_done < 2)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(a_policy_that_a_program_gives_itself_afterwards_is_left)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'b'); /* to the very node */
        placement_look_again(road.placement);
        await_state(&program, MAPPING_SKIPPED, "of its own");
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_BIND);
        program_end(&program);
}

RoadTest(what_a_part_of_a_mapping_has_is_taken_back)
{
        Program program;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'p');
        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_policy(program.pid, program.address, VMA_POLICY_DEFAULT);
        await_policy(program.pid, program.address + LENGTH / 2, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(a_child_has_it_from_its_parent)
{
        Program program, child;

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'f');
        child.address = program.address;
        cr_assert_eq(read(program.out, &child.pid, sizeof(child.pid)), sizeof(child.pid));
        await_state(&child, MAPPING_PLACED, "");
        cr_assert_eq(road.placement->account.injections_done, 1, "nothing to do for it");

        rules_set("[Cow]\nFile=*/file\nTier=default\n");
        await_policy(program.pid, program.address, VMA_POLICY_DEFAULT);
        await_policy(child.pid, child.address, VMA_POLICY_DEFAULT);
        program_end(&program);
}

RoadTest(another_program_begins_anew)
{
        Program program;
        char command = 'e';

        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(write(program.in, &command, 1), 1);
        while (mapping_of(program.pid, program.address))
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        cr_assert_eq(kill(program.pid, SIGKILL), 0);
        waitpid(program.pid, NULL, 0);
        await_forgotten(program.pid);
}

RoadTest(without_the_injector_it_says_so_and_tries_again)
{
        Program program;

        injector_end(&road.injector);
        road.injector.pid = 0;
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_FAILED, "injector is not running");
        cr_assert_lt(road.placement->injector_error, 0);

        road.injector = injector_new(); /* where the placement looks for it: in .path */
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(road.placement->injector_error, 0);
        program_end(&program);
}

RoadTest(a_dry_run_changes_nothing)
{
        Program program;

        road.placement->dry_run = true;
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_SKIPPED, "dry run");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        cr_assert_eq(road.placement->account.injections_done, 0);
        program_end(&program);
}

RoadTest(beyond_cheap_max_it_is_left_to_the_kernel)
{
        Program program;

        rules_set("CheapMax=1M\n[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        tell(&program, 'w');
        placement_reconcile(road.placement);
        await_state(&program, MAPPING_PARTIAL, "CheapMax=");
        while (policy_of(program.pid, program.address) != VMA_POLICY_DEFAULT)
                cr_assert_geq(sd_event_run(road.watched->event, 100000), 0);
        program_end(&program);
}

RoadTest(a_tier_that_goes_and_comes)
{
        Program program;
        Tiers none = {}, again = {};

        nodeset_add(&again.cheap, 0);
        rules_set("[Cow]\nFile=*/file\n");
        program = program_start();
        tell(&program, 'm');
        await_state(&program, MAPPING_PLACED, "");
        placement_set_tiers(road.placement, &none);
        await_state(&program, MAPPING_SKIPPED, "no node");
        placement_set_tiers(road.placement, &again);
        await_state(&program, MAPPING_PLACED, "");
        cr_assert_eq(policy_of(program.pid, program.address), VMA_POLICY_PREFERRED);
        program_end(&program);
}

/* A program whose copies are not where they should be, and cannot be: there is no such node. */
static Program misplaced_start(const char *limits)
{
        Program program;
        Tiers tiers = {};
        char text[128];

        nodeset_add(&tiers.cheap, 1);
        placement_set_tiers(road.placement, &tiers);
        program = program_start();
        tell(&program, 'm');
        tell(&program, 'w');
        snprintf(text, sizeof(text), "%s[Cow]\nFile=*/file\n", limits);
        rules_set(text);
        return program;
}

/* Neither can the mapping be given its policy, nor can its copies be moved. */
RoadTest(what_cannot_be_moved_is_tried_less_and_less_often)
{
        Program program;

        moves->result.error = -EOPNOTSUPP;
        program = misplaced_start("");
        await_state(&program, MAPPING_FAILED, "none of the tier's nodes");
        run_for(1200);
        cr_expect_geq(moves->n_begun, 1);
        cr_expect_leq(moves->n_begun, 2);
        program_end(&program);
}

RoadTest(a_move_that_moves_nothing_is_not_begun_again_at_once)
{
        Program program = misplaced_start("");

        run_for(900);
        cr_expect_eq(moves->n_begun, 1);
        program_end(&program);
}

RoadTest(even_the_slowest_rate_moves_a_page)
{
        Program program;

        moves->result.moved_bytes = 4096;
        program = misplaced_start("MoveRate=8K\n");
        run_for(300);
        cr_expect_eq(moves->n_begun, 1);
        cr_expect_eq(moves->bytes_max, 4096);
        program_end(&program);
}

RoadTest(once_it_is_told_to_stop_it_begins_nothing)
{
        Program program = program_start();
        Target *target;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        cr_assert_not(placement_stop(road.placement, NULL, NULL), "nothing is under way");
        target = placement_target(road.placement, program.pid);
        cr_assert_not_null(target);
        placement_due(road.placement, target, 0);
        await_state(&program, MAPPING_PLACING, "");
        run_for(200);
        cr_expect_eq(road.placement->account.injections_done, 0);
        cr_expect_eq(policy_of(program.pid, program.address), VMA_POLICY_DEFAULT);
        program_end(&program);
}

/* However often events are lost, not everybody is looked at each time. */
RoadTest(lost_events_are_made_up_for_once_in_a_while)
{
        const WatchEvent lost = { .kind = WATCH_LOST };
        Program program = program_start();
        uint64_t before;

        tell(&program, 'm');
        rules_set("[Cow]\nFile=*/file\n");
        await_state(&program, MAPPING_PLACED, "");
        run_for(200);
        before = road.placement->account.scans;
        for (unsigned i = 0; i < 25; i++) {
                placement_hear(&lost, road.placement);
                run_for(10);
        }
        cr_expect_geq(road.placement->account.scans, before + 1);
        cr_expect_leq(road.placement->account.scans, before + 3);
        run_for(1000);
        cr_expect_geq(road.placement->account.scans, before + 2, "the last loss counts, too");
        program_end(&program);
}
