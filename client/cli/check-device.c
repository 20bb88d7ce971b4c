/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>

#include "policy/macro.h"

/* Devices, the tiers they make, and the daemon that makes them. */

static bool has_cheap(const Host *host)
{
        return !nodeset_is_empty(&host->topology.tiers.cheap);
}

int probe_devices(const Check *check, const Patient *patient, Findings *findings)
{
        const Host *host = patient->host;

        if (host->n_devices > 0)
                return findings_add(findings, VERDICT_OK, NULL, "%zu dax device%s, first %s",
                                    host->n_devices, host->n_devices == 1 ? "" : "s",
                                    host->devices[0].chardev);
        if (has_cheap(host))
                return findings_add(findings, VERDICT_INFO, NULL,
                                    "no dax device, but the cheap tier has a node without one");

        return findings_add(
                findings, VERDICT_FAIL,
                "ndctl create-namespace --mode=devdax  # CXL: cxl create-region, then daxctl "
                "create-device",
                "no dax device: there is no memory to make a cheap NUMA node of");
}

/* The device that one would think of. */
static const char *idle_device(const Host *host)
{
        for (size_t i = 0; i < host->n_devices; i++)
                if (host->devices[i].mode != DEVICE_MODE_SYSTEM_RAM)
                        return host->devices[i].chardev;
        return host->n_devices > 0 ? host->devices[0].chardev : "daxX.Y";
}

int probe_named(const Check *check, const Patient *patient, Findings *findings)
{
        const Host *host = patient->host;
        _cleanup_(freep) char *mend = NULL;

        for (size_t i = 0; i < host->config.n_devices; i++)
                for (size_t j = 0; j < host->n_devices; j++)
                        if (device_is_named(&host->devices[j], host->config.devices[i].name))
                                return findings_add(findings, VERDICT_OK, NULL,
                                                    "the configuration names %s",
                                                    host->devices[j].chardev);

        if (host->config.n_devices > 0)
                return findings_add(findings, VERDICT_WARN, "daxtier devices",
                                    "the configuration names %s%s, which this machine does not "
                                    "have",
                                    host->config.devices[0].name,
                                    host->config.n_devices > 1 ? " and others" : "");

        mend = text_format("printf '[Device %s]\\nOnline=yes\\n' "
                           ">/etc/daxtierd/daxtierd.conf.d/device.conf && "
                           "systemctl restart daxtierd",
                           idle_device(host));
        if (!mend)
                return -ENOMEM;
        return findings_add(findings, has_cheap(host) ? VERDICT_INFO : VERDICT_WARN, mend,
                            "the configuration names no device, and daxtierd touches no other");
}

int probe_cheap(const Check *check, const Patient *patient, Findings *findings)
{
        const Host *host = patient->host;
        const NodeSet *cheap = &host->topology.tiers.cheap;
        _cleanup_(freep) char *mend = NULL;
        uint64_t total, free_bytes;
        char text[NODESET_TEXT_MAX];
        int r;

        if (host->n_devices > 0) {
                mend = text_format("daxtier online %s", idle_device(host));
                if (!mend)
                        return -ENOMEM;
        }

        if (!has_cheap(host))
                return findings_add(findings, VERDICT_FAIL, mend,
                                    "the cheap tier has no NUMA node: copies can only go to DRAM");

        r = nodeset_format(cheap, text, sizeof(text));
        if (r < 0)
                return r;
        host_sum(host, cheap, &total, &free_bytes);
        if (total == 0)
                return findings_add(findings, VERDICT_FAIL, mend,
                                    "the cheap tier, node %s, has no memory", text);
        return findings_add(findings, VERDICT_OK, NULL, "the cheap tier is node %s", text);
}

int probe_daemon(const Check *check, const Patient *patient, Findings *findings)
{
        const Host *host = patient->host;

        if (host->daemon_error >= 0)
                return findings_add(findings, VERDICT_OK, NULL, "daxtierd is running");
        return findings_add(findings, VERDICT_WARN, "systemctl start daxtierd",
                            "daxtierd is not running: devices do not go online by themselves");
}
