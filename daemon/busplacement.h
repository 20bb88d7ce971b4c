/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of the object that is about policies and mappings; see bus.h. */

#include <systemd/sd-bus.h>

int bus_get_totals(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error);
int bus_method_list(sd_bus_message *message, void *userdata, sd_bus_error *error);
int bus_method_policies(sd_bus_message *message, void *userdata, sd_bus_error *error);
int bus_method_cgroups(sd_bus_message *message, void *userdata, sd_bus_error *error);
int bus_method_metrics(sd_bus_message *message, void *userdata, sd_bus_error *error);
