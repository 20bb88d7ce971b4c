/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>
#include <poll.h>

#include "daemon/injection.h"
#include "daemon/kernel/attr.h"
#include "policy/macro.h"

/* What it takes to reach programs that run already. */

/* systemd starts the injector at the first connection. */
#define ANSWER_MAX_MS 5000

#define WITHOUT_IT "no policy reaches programs that are not started by `daxtier run`"

int probe_cgroup2(const Check *check, const Patient *patient, Findings *findings)
{
        if (faccessat(patient->sys_fd, "fs/cgroup/cgroup.controllers", F_OK, 0) == 0)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "cgroup v2 is mounted on /sys/fs/cgroup");
        if (faccessat(patient->sys_fd, "fs/cgroup/unified/cgroup.controllers", F_OK, 0) == 0)
                return findings_add(findings, VERDICT_INFO,
                                    "boot with systemd.unified_cgroup_hierarchy=1",
                                    "cgroup v2 is only mounted beside v1, which has the "
                                    "controllers: what a cgroup may use of memory is not seen");

        return findings_add(
                findings, VERDICT_WARN, "boot with systemd.unified_cgroup_hierarchy=1",
                "cgroup v2 is not mounted, and policies are for its cgroups: " WITHOUT_IT);
}

/* Yama's levels 0 to 2 leave those alone who have CAP_SYS_PTRACE, as the injector. Level 3 forbids
 * everybody, and stays until the next boot. */
int probe_ptrace(const Check *check, const Patient *patient, Findings *findings)
{
        uint64_t scope;
        int r = attr_read_u64(patient->proc_fd, "sys/kernel/yama/ptrace_scope", &scope);

        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT || scope < 3)
                return findings_add(findings, VERDICT_OK, NULL,
                                    "the injector may stop a thread of another process");

        return findings_add(
                findings, VERDICT_WARN,
                "grep -rs ptrace_scope /etc/sysctl.conf /etc/sysctl.d "
                "/usr/lib/sysctl.d  # make it 2 there, and reboot",
                "kernel.yama.ptrace_scope is 3, nobody may stop another process: " WITHOUT_IT);
}

/* From the kernel's source (LOCKDOWN_*): neither level is about ptrace, DAMON, or perf events of the
 * kind that we use. */
int probe_lockdown(const Check *check, const Patient *patient, Findings *findings)
{
        char text[64];
        int r = attr_read(patient->sys_fd, "kernel/security/lockdown", text, sizeof(text));

        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT || strstr(text, "[none]"))
                return findings_add(findings, VERDICT_OK, NULL, "the kernel is not locked down");

        return findings_add(findings, VERDICT_INFO, NULL,
                            "the kernel is locked down (%s): that forbids nothing that we do, but "
                            "a kmem module of your own has to be signed",
                            text);
}

#if HAVE_INJECTOR
/* Asks for nonsense: what is refused is refused in our version's words, or in another's. */
static int injector_ask(const char *path)
{
        const InjectRequest nonsense = { .version = INJECT_VERSION };
        _cleanup_(closep) int fd = -1;
        struct pollfd poll_fd = { .events = POLLIN };
        InjectOutcome outcome;
        int r = injection_connect(path, &fd);

        if (r < 0)
                return r;
        r = injection_send(fd, &nonsense);
        if (r < 0)
                return r;

        poll_fd.fd = fd;
        r = poll(&poll_fd, 1, ANSWER_MAX_MS);
        if (r <= 0)
                return r < 0 ? -errno : -ETIMEDOUT;
        return injection_receive(fd, &outcome);
}

int probe_injector(const Check *check, const Patient *patient, Findings *findings)
{
        int r = injector_ask(patient->injector_path);

        switch (r) {
        case 0:
                return findings_add(findings, VERDICT_OK, NULL,
                                    "the injector answers, in this version");
        case -ENOENT:
        case -ECONNREFUSED:
                return findings_add(findings, VERDICT_WARN,
                                    "systemctl start daxtierd-injector.socket",
                                    "the injector's socket is not started: " WITHOUT_IT);
        case -EACCES:
                return findings_add(findings, VERDICT_UNKNOWN, "sudo daxtier doctor",
                                    "only root may ask the injector");
        case -EPROTO:
                return findings_add(
                        findings, VERDICT_WARN, "systemctl restart daxtierd-injector.service",
                        "the injector that runs is of another version, and refuses: " WITHOUT_IT);
        case -EAGAIN:
        case -ETIMEDOUT:
        case -EPIPE:
                return findings_add(findings, VERDICT_WARN,
                                    "systemctl restart daxtierd-injector.service",
                                    "the injector does not answer (journalctl -u "
                                    "daxtierd-injector): " WITHOUT_IT);
        default:
                return r;
        }
}
#else
int probe_injector(const Check *check, const Patient *patient, Findings *findings)
{
        return findings_add(
                findings, VERDICT_INFO, NULL,
                "this build has no injector, which knows x86-64 and aarch64: " WITHOUT_IT);
}
#endif
