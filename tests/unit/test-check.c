/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/check.h"
#include "daemon/injection.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* A machine on paper: /proc and /sys below a scratch directory. */
typedef struct Paper {
        Scratch scratch;
        Host host;
        Patient patient;
} Paper;

static int open_below(const Scratch *scratch, const char *name)
{
        int fd;

        cr_assert_eq(mkdirat(scratch->fd, name, 0755), 0);
        fd = openat(scratch->fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        return fd;
}

static void paper_init(Paper *paper)
{
        *paper = (Paper){ .scratch = scratch_new() };
        paper->host.daemon_error = -ECONNREFUSED;
        paper->patient = (Patient){
                .proc_fd = open_below(&paper->scratch, "proc"),
                .sys_fd = open_below(&paper->scratch, "sys"),
                .modules_fd = open_below(&paper->scratch, "modules"),
                .host = &paper->host,
        };
}

static void paper_deinit(Paper *paper)
{
        close(paper->patient.proc_fd);
        close(paper->patient.sys_fd);
        close(paper->patient.modules_fd);
        scratch_freep(&paper->scratch);
}

/* Writes a file and the directories above it. */
static void put(const Paper *paper, const char *path, const char *text)
{
        char folder[PATH_MAX];

        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
                cr_assert(mkdirat(paper->scratch.fd, folder, 0755) == 0 || errno == EEXIST);
        }
        scratch_write(&paper->scratch, path, text, strlen(text));
}

/* The check finds exactly this, first; @mend is a part of what it says, NULL: nothing to mend. */
static void assert_finds(const Paper *paper, const char *id, Verdict verdict, const char *mend)
{
        _cleanup_(findings_deinit) Findings findings = {};
        const Check *check = check_find(id);

        cr_assert_not_null(check, "%s", id);
        cr_assert_eq(check->probe(check, &paper->patient, &findings), 0, "%s", id);
        cr_assert_geq(findings.n_items, 1, "%s", id);
        cr_assert_str_eq(verdict_name(findings.items[0].verdict), verdict_name(verdict), "%s: %s",
                         id, findings.items[0].reason);
        if (mend)
                cr_assert(findings.items[0].mend && strstr(findings.items[0].mend, mend), "%s: %s",
                          id, findings.items[0].mend);
        else
                cr_assert_null(findings.items[0].mend, "%s", id);
}

Test(check, overcommit)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        put(&paper, "proc/sys/vm/overcommit_memory", "2\n");
        assert_finds(&paper, "overcommit", VERDICT_WARN, "sysctl vm.overcommit_memory=0");
        put(&paper, "proc/sys/vm/overcommit_memory", "1\n");
        assert_finds(&paper, "overcommit", VERDICT_OK, NULL);
}

Test(check, numa_balancing)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "numa-balancing", VERDICT_OK, NULL); /* a kernel without it */
        put(&paper, "proc/sys/kernel/numa_balancing", "1\n");
        assert_finds(&paper, "numa-balancing", VERDICT_WARN, "sysctl kernel.numa_balancing=0");
        put(&paper, "proc/sys/kernel/numa_balancing", "2\n");
        assert_finds(&paper, "numa-balancing", VERDICT_WARN, "sysctl kernel.numa_balancing=0");
        put(&paper, "proc/sys/kernel/numa_balancing", "0\n");
        assert_finds(&paper, "numa-balancing", VERDICT_OK, NULL);
}

Test(check, auto_online)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        put(&paper, "sys/devices/system/memory/auto_online_blocks", "online\n");
        assert_finds(&paper, "auto-online", VERDICT_INFO, NULL);
        put(&paper, "sys/devices/system/memory/auto_online_blocks", "offline\n");
        assert_finds(&paper, "auto-online", VERDICT_OK, NULL);
}

Test(check, demotion)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "demotion", VERDICT_INFO, NULL); /* a kernel without it */
        put(&paper, "sys/kernel/mm/numa/demotion_enabled", "false\n");
        assert_finds(&paper, "demotion", VERDICT_INFO, "demotion_enabled");
        put(&paper, "sys/kernel/mm/numa/demotion_enabled", "true\n");
        assert_finds(&paper, "demotion", VERDICT_OK, NULL);
}

Test(check, ptrace)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "ptrace", VERDICT_OK, NULL); /* a kernel without Yama */
        put(&paper, "proc/sys/kernel/yama/ptrace_scope", "2\n");
        assert_finds(&paper, "ptrace", VERDICT_OK, NULL);
        put(&paper, "proc/sys/kernel/yama/ptrace_scope", "3\n");
        assert_finds(&paper, "ptrace", VERDICT_WARN, "reboot");
}

Test(check, cgroup2_alone_beside_version_1_or_not_at_all)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "cgroup2", VERDICT_WARN, "systemd.unified_cgroup_hierarchy=1");
        put(&paper, "sys/fs/cgroup/unified/cgroup.controllers", "\n");
        assert_finds(&paper, "cgroup2", VERDICT_INFO, "systemd.unified_cgroup_hierarchy=1");
        put(&paper, "sys/fs/cgroup/cgroup.controllers", "cpuset memory\n");
        assert_finds(&paper, "cgroup2", VERDICT_OK, NULL);
}

Test(check, lockdown)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "lockdown", VERDICT_OK, NULL);
        put(&paper, "sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        assert_finds(&paper, "lockdown", VERDICT_OK, NULL);
        put(&paper, "sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
        assert_finds(&paper, "lockdown", VERDICT_INFO, NULL);
}

Test(check, damon_is_busy_by_a_module_or_by_a_running_kdamond)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "damon-busy", VERDICT_OK, NULL);

        put(&paper, "sys/module/damon_stat/parameters/enabled", "Y\n");
        assert_finds(&paper, "damon-busy", VERDICT_WARN,
                     "echo N >/sys/module/damon_stat/parameters/enabled");
        put(&paper, "sys/module/damon_stat/parameters/enabled", "N\n");
        assert_finds(&paper, "damon-busy", VERDICT_OK, NULL);

        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "2\n");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/0/state", "off\n");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/1/state", "on\n");
        assert_finds(&paper, "damon-busy", VERDICT_WARN, "kdamonds/1/state");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/1/state", "off\n");
        assert_finds(&paper, "damon-busy", VERDICT_OK, NULL);

        /* Our own bear a mark. */
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/0/state", "on\n");
        assert_finds(&paper, "damon-busy", VERDICT_WARN, "kdamonds/0/state");
        for (unsigned i = 0; i < 2; i++) {
                char path[128];

                snprintf(
                        path, sizeof(path),
                        "sys/kernel/mm/damon/admin/kdamonds/%u/contexts/0/monitoring_attrs/intervals/"
                        "update_us",
                        i);
                put(&paper, path, "60000011\n");
        }
        assert_finds(&paper, "damon-busy", VERDICT_OK, NULL);
}

static void put_mount(const Paper *paper, const char *options)
{
        char text[512];

        snprintf(text, sizeof(text),
                 "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
                 "40 22 259:0 / /mnt/pm\\040em rw,relatime shared:9 - ext4 /dev/pmem0 %s\n"
                 "41 22 259:0 /a /mnt/bind rw,relatime shared:9 - ext4 /dev/pmem0 %s\n",
                 options, options);
        put(paper, "proc/self/mountinfo", text);
}

Test(check, a_mount_on_pmem_without_dax)
{
        static const char *const without[] = { "rw", "rw,dax=inode", "rw,dax=never", "rw,nodax" };
        static const char *const with[] = { "rw,dax", "rw,dax=always", "rw,dax=always,x=1" };
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        put(&paper, "sys/dev/block/254:1/queue/dax", "0\n");
        put_mount(&paper, "rw");
        assert_finds(&paper, "mount", VERDICT_INFO, NULL); /* 259:0 is no DAX device here */

        put(&paper, "sys/dev/block/259:0/queue/dax", "1\n");
        for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
                put_mount(&paper, without[i]);
                assert_finds(&paper, "mount", VERDICT_WARN, "mount -o dax /dev/pmem0");
        }
        for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
                put_mount(&paper, with[i]);
                assert_finds(&paper, "mount", VERDICT_OK, NULL);
        }
}

/* /sys/dev/block/259:0 is a link to the partition's directory inside its disk's. */
Test(check, a_partition_is_as_its_disk)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        put(&paper, "sys/block/pmem0/queue/dax", "1\n");
        put(&paper, "sys/block/pmem0/pmem0p1/partition", "1\n");
        put(&paper, "sys/dev/block/254:1/queue/dax", "0\n");
        cr_assert_eq(
                symlinkat("../../block/pmem0/pmem0p1", paper.patient.sys_fd, "dev/block/259:0"), 0);
        put_mount(&paper, "rw");
        assert_finds(&paper, "mount", VERDICT_WARN, "mount -o dax /dev/pmem0");
}

Test(check, a_filesystem_is_judged_once)
{
        _cleanup_(findings_deinit) Findings findings = {};
        _cleanup_(paper_deinit) Paper paper;
        const Check *check = check_find("mount");

        paper_init(&paper);
        put(&paper, "sys/dev/block/259:0/queue/dax", "1\n");
        put_mount(&paper, "rw");
        cr_assert_eq(check->probe(check, &paper.patient, &findings), 0);
        cr_assert_eq(findings.n_items, 1);
        cr_assert(strstr(findings.items[0].reason, "/mnt/pm em"));
        cr_assert(strstr(findings.items[0].mend, "umount '/mnt/pm em' && "), "%s",
                  findings.items[0].mend);
}

Test(check, a_cpuset_without_the_cheap_node)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        put(&paper, "proc/self/cgroup", "0::/user.slice/session-1\n");
        put(&paper, "sys/fs/cgroup/cpuset.mems.effective", "0,2\n");
        put(&paper, "sys/fs/cgroup/user.slice/cpuset.mems.effective", "0,2\n");
        put(&paper, "sys/fs/cgroup/user.slice/session-1/cgroup.procs", "");
        put(&paper, "sys/fs/cgroup/machine.slice/cpuset.mems.effective", "0\n");
        assert_finds(&paper, "cpuset", VERDICT_OK, NULL); /* there is no cheap node yet */

        nodeset_add(&paper.host.topology.tiers.cheap, 2);
        assert_finds(&paper, "cpuset", VERDICT_WARN,
                     "echo 0,2 >/sys/fs/cgroup/machine.slice/cpuset.mems");

        put(&paper, "sys/fs/cgroup/machine.slice/cpuset.mems.effective", "0,2\n");
        assert_finds(&paper, "cpuset", VERDICT_OK, NULL);

        /* Ours is that of the nearest cgroup above with the controller. */
        put(&paper, "sys/fs/cgroup/user.slice/cpuset.mems.effective", "0\n");
        assert_finds(&paper, "cpuset", VERDICT_FAIL, "user.slice/cpuset.mems");
}

/* A stranger may name a cgroup, and an administrator pastes what doctor says. */
Test(check, a_name_is_one_word_to_the_shell)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        nodeset_add(&paper.host.topology.tiers.cheap, 2);
        put(&paper, "proc/self/cgroup", "0::/\n");
        put(&paper, "sys/fs/cgroup/a;b'\\x2d c/cpuset.mems.effective", "0\n");
        assert_finds(&paper, "cpuset", VERDICT_WARN,
                     "echo 0,2 >'/sys/fs/cgroup/a;b'\\''\\x2d c/cpuset.mems'");
}

Test(check, a_cgroup_above_our_namespace_is_not_followed)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        nodeset_add(&paper.host.topology.tiers.cheap, 2);
        put(&paper, "proc/self/cgroup", "0::/../outside\n");
        put(&paper, "sys/fs/cgroup/cgroup.procs", "");
        put(&paper, "sys/fs/outside/cpuset.mems.effective", "0\n");
        assert_finds(&paper, "cpuset", VERDICT_OK, NULL);
}

Test(check, devices_names_and_the_cheap_tier)
{
        Device device = { .chardev = "dax1.0", .path = (char *)"/devices/dax1.0" };
        DeviceConfig named = { .name = (char *)"dax1.0" }, other = { .name = (char *)"dax9.0" };
        Node node = { .id = 2, .has_memory = true, .is_dax = true, .total_bytes = 1 << 30 };
        _cleanup_(paper_deinit) Paper paper;
        Host *host = &paper.host;

        paper_init(&paper);
        assert_finds(&paper, "device", VERDICT_FAIL, "ndctl create-namespace");
        assert_finds(&paper, "cheap-tier", VERDICT_FAIL, NULL);
        assert_finds(&paper, "daemon", VERDICT_WARN, "systemctl start daxtierd");

        host->devices = &device;
        host->n_devices = 1;
        assert_finds(&paper, "device", VERDICT_OK, NULL);
        assert_finds(&paper, "cheap-tier", VERDICT_FAIL, "daxtier online dax1.0");
        assert_finds(&paper, "named-device", VERDICT_WARN, "[Device dax1.0]");

        host->config.n_devices = 1;
        host->config.devices = &other;
        assert_finds(&paper, "named-device", VERDICT_WARN, "daxtier devices");
        host->config.devices = &named;
        assert_finds(&paper, "named-device", VERDICT_OK, NULL);

        host->topology.nodes = &node;
        host->topology.n_nodes = 1;
        nodeset_add(&host->topology.tiers.cheap, 2);
        assert_finds(&paper, "cheap-tier", VERDICT_OK, NULL);
        node.total_bytes = 0;
        assert_finds(&paper, "cheap-tier", VERDICT_FAIL, "daxtier online dax1.0");

        host->daemon_error = 0;
        assert_finds(&paper, "daemon", VERDICT_OK, NULL);
}

Test(check, kmem_is_there_as_a_driver_or_as_a_module)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "kmem", VERDICT_FAIL, "CONFIG_DEV_DAX_KMEM");
        put(&paper, "modules/modules.dep",
            "kernel/a.ko: kernel/drivers/dax/kmem.ko\nkernel/drivers/dax/kmem.ko.xz.old:\n");
        assert_finds(&paper, "kmem", VERDICT_OK, NULL);
        put(&paper, "modules/modules.dep", "kernel/a.ko: kernel/drivers/dax/kmem.ko\n");
        assert_finds(&paper, "kmem", VERDICT_FAIL, "CONFIG_DEV_DAX_KMEM");
        put(&paper, "modules/modules.builtin", "kernel/drivers/dax/kmem.ko\n");
        assert_finds(&paper, "kmem", VERDICT_OK, NULL);

        scratch_write(&paper.scratch, "modules/modules.builtin", "", 0);
        put(&paper, "sys/bus/dax/drivers/kmem/bind", "");
        assert_finds(&paper, "kmem", VERDICT_OK, NULL);
}

Test(check, features_that_are_files)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper);
        assert_finds(&paper, "memory-hotplug", VERDICT_FAIL, "CONFIG_MEMORY_HOTPLUG");
        put(&paper, "sys/devices/system/memory/auto_online_blocks", "online\n");
        assert_finds(&paper, "memory-hotplug", VERDICT_OK, NULL);

        assert_finds(&paper, "damon", VERDICT_WARN, "CONFIG_DAMON_SYSFS");
        assert_finds(&paper, "damon-migrate", VERDICT_WARN, "newer kernel");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "1\n");
        assert_finds(&paper, "damon", VERDICT_OK, NULL);
        assert_finds(&paper, "damon-migrate", VERDICT_UNKNOWN, NULL); /* somebody's: hands off */
}

Test(check, damon_is_offered_an_action_and_left_as_it_was)
{
        _cleanup_(paper_deinit) Paper paper;
        char text[16] = "";
        int fd;

        paper_init(&paper);
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "0\n");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/0/contexts/nr_contexts", "");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/nr_schemes", "");
        put(&paper, "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/0/action", "");
        assert_finds(&paper, "damon-migrate", VERDICT_OK, NULL);

        fd = openat(paper.patient.sys_fd, "kernel/mm/damon/admin/kdamonds/nr_kdamonds", O_RDONLY);
        cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
        close(fd);
        cr_assert_eq(text[0], '0');
}

#if HAVE_INJECTOR
/* Answers one request in the words of @version, or hangs up. */
static pid_t answer_once(const char *path, uint32_t version)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        pid_t pid;

        cr_assert_lt(strlen(path), sizeof(address.sun_path));
        memcpy(address.sun_path, path, strlen(path));
        unlink(path);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(fd, 1), 0);
        pid = fork();
        if (pid == 0) {
                InjectOutcome outcome = { .version = version, .step = INJECT_STEP_REQUEST };
                int connection = accept(fd, NULL, NULL);
                InjectRequest request;

                if (recv(connection, &request, sizeof(request), 0) == sizeof(request) && version)
                        send(connection, &outcome, sizeof(outcome), 0);
                _exit(0);
        }

        close(fd);
        return pid;
}

Test(check, injector_absent_of_another_version_or_dumb)
{
        static const struct {
                uint32_t version;
                Verdict verdict;
                const char *mend;
        } answers[] = {
                { INJECT_VERSION, VERDICT_OK, NULL },
                { INJECT_VERSION + 1, VERDICT_WARN, "systemctl restart daxtierd-injector.service" },
                { 0, VERDICT_WARN, "systemctl restart daxtierd-injector.service" },
        };
        _cleanup_(paper_deinit) Paper paper;
        char path[128];

        paper_init(&paper);
        snprintf(path, sizeof(path), "%s/injector", paper.scratch.path);
        paper.patient.injector_path = path;
        assert_finds(&paper, "injector", VERDICT_WARN, "systemctl start daxtierd-injector.socket");
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                pid_t pid = answer_once(path, answers[i].version);

                assert_finds(&paper, "injector", answers[i].verdict, answers[i].mend);
                cr_assert_eq(waitpid(pid, NULL, 0), pid);
        }
        /* Its listener is gone. */
        assert_finds(&paper, "injector", VERDICT_WARN, "systemctl start daxtierd-injector.socket");
}
#endif

/* System calls answer on any kernel; which answer is right depends on it. DAMON's sysfs belongs to the
 * machine: what writes there is tried on paper only. */
Test(check, every_check_answers_on_this_machine)
{
        Patient patient = {
                .proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
                .sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC),
                .modules_fd = -1,
                .injector_path = INJECTION_SOCKET,
        };
        Host host = { .daemon_error = -ECONNREFUSED };

        patient.host = &host;
        for (size_t i = 0; i < n_checks; i++) {
                _cleanup_(findings_deinit) Findings findings = {};
                int r;

                cr_assert_eq(check_find(checks[i].id), &checks[i], "ids are unique");
                if (&checks[i] == check_find("damon-migrate") ||
                    &checks[i] == check_find("relocation"))
                        continue;
                r = checks[i].probe(&checks[i], &patient, &findings);
                cr_assert(r < 0 || findings.n_items > 0, "%s", checks[i].id);
                cr_assert_neq(r, -EINVAL, "%s", checks[i].id);
        }
}
