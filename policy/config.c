/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "policy/macro.h"
#include "policy/value.h"

/* More than any machine has; keeps the search for a name short. */
#define DEVICES_MAX 1024u

static int parse_boolean(const char *value, const IniPlace *place, void *member)
{
        return boolean_parse(value, member);
}

static int parse_reconcile(const char *value, const IniPlace *place, void *member)
{
        uint64_t usec;
        int r;

        r = usec_parse(value, &usec);
        if (r < 0)
                return r;
        if (usec < 1000000)
                return -EINVAL;

        *(uint64_t *)member = usec;
        return 0;
}

static int parse_damon(const char *value, const IniPlace *place, void *member)
{
        bool *take = member;

        if (strcmp(value, "take") == 0)
                *take = true;
        else if (strcmp(value, "leave") == 0)
                *take = false;
        else
                return -EINVAL;

        return 0;
}

static int parse_zone(const char *value, const IniPlace *place, void *member)
{
        Zone *zone = member;

        if (strcmp(value, "movable") == 0)
                *zone = ZONE_MOVABLE;
        else if (strcmp(value, "normal") == 0)
                *zone = ZONE_NORMAL;
        else
                return -EINVAL;

        return 0;
}

static int parse_nodes(const char *value, const IniPlace *place, void *member)
{
        _cleanup_(freep) char *file = NULL;
        TierConfig *tier = member;
        NodeSet nodes = {};
        int r;

        if (strcmp(value, "auto") != 0) {
                r = nodeset_parse(value, &nodes);
                if (r < 0)
                        return r;
        }

        if (place->file) {
                file = strdup(place->file);
                if (!file)
                        return -ENOMEM;
        }

        free(tier->file);
        *tier = (TierConfig){
                .automatic = strcmp(value, "auto") == 0,
                .nodes = nodes,
                .file = TAKE_PTR(file),
                .line = place->line,
        };
        return 0;
}

/* A decimal number as the kernel writes it: no leading zero. Returns what follows it, or NULL. */
static const char *skip_number(const char *text)
{
        if (!isdigit((unsigned char)*text) || (text[0] == '0' && isdigit((unsigned char)text[1])))
                return NULL;

        return text + strspn(text, "0123456789");
}

static bool is_chardev(const char *text)
{
        if (strncmp(text, "dax", strlen("dax")) != 0)
                return false;

        text = skip_number(text + strlen("dax"));
        if (!text || *text != '.')
                return false;

        text = skip_number(text + 1);
        return text && *text == '\0';
}

static bool is_uuid(const char *text)
{
        static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        if (strlen(text) != strlen(form))
                return false;

        for (size_t i = 0; form[i] != '\0'; i++)
                if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
                        return false;

        return true;
}

int device_name_parse(const char *text, char **ret_name)
{
        static const char uuid[] = "uuid:", path[] = "path:";
        bool has_uuid = strncmp(text, uuid, strlen(uuid)) == 0;
        char *name;

        if (has_uuid) {
                if (!is_uuid(text + strlen(uuid)))
                        return -EINVAL;
        } else if (strncmp(text, path, strlen(path)) == 0) {
                if (text[strlen(path)] != '/' && text[strlen(path)] != '*')
                        return -EINVAL;
        } else if (!is_chardev(text))
                return -EINVAL;

        name = strdup(text);
        if (!name)
                return -ENOMEM;
        for (char *p = name; has_uuid && *p != '\0'; p++)
                *p = (char)tolower((unsigned char)*p);

        *ret_name = name;
        return 0;
}

static const IniKey daemon_keys[] = {
        { "ReconcileSec", "30s", false, parse_reconcile, offsetof(Config, reconcile_usec),
          "a time of at least 1s, such as 30s or 1min 30s" },
        { "Damon", "leave", false, parse_damon, offsetof(Config, damon_take), "take or leave" },
};

static const IniKey device_keys[] = {
        { "Online", "yes", false, parse_boolean, offsetof(DeviceConfig, online), "yes or no" },
        { "Zone", "movable", false, parse_zone, offsetof(DeviceConfig, zone), "movable or normal" },
        { "OfflineOnStop", "no", false, parse_boolean, offsetof(DeviceConfig, offline_on_stop),
          "yes or no" },
};

static const IniKey tier_keys[] = {
        { "Nodes", "auto", false, parse_nodes, 0,
          "auto or a list of NUMA nodes, such as 2 or 2-3,5" },
};

static int enter_device(void *object, const char *argument, void **ret_target);

static int enter_tier(void *object, const char *argument, void **ret_target)
{
        Config *config = object;

        if (strcmp(argument, "cheap") == 0)
                *ret_target = &config->cheap;
        else if (strcmp(argument, "fast") == 0)
                *ret_target = &config->fast;
        else
                return -EINVAL;

        return 0;
}

enum {
        SECTION_DAEMON,
        SECTION_DEVICE,
        SECTION_TIER,
};

static const IniSection sections[] = {
        [SECTION_DAEMON] = { "Daemon", NULL, daemon_keys, ARRAY_SIZE(daemon_keys), NULL },
        [SECTION_DEVICE] = { "Device",
                             "a device after Device: dax1.0 (its name in /dev), uuid:UUID of its "
                             "namespace, or path:GLOB on its path in /sys",
                             device_keys, ARRAY_SIZE(device_keys), enter_device },
        [SECTION_TIER] = { "Tier", "[Tier cheap] or [Tier fast]", tier_keys, ARRAY_SIZE(tier_keys),
                           enter_tier },
};

const IniSchema config_schema = { sections, ARRAY_SIZE(sections), false };

static int enter_device(void *object, const char *argument, void **ret_target)
{
        _cleanup_(freep) char *name = NULL;
        Config *config = object;
        DeviceConfig *devices;
        int r;

        r = device_name_parse(argument, &name);
        if (r < 0)
                return r;

        for (size_t i = 0; i < config->n_devices; i++)
                if (strcmp(config->devices[i].name, name) == 0) {
                        *ret_target = &config->devices[i];
                        return 0;
                }

        if (config->n_devices >= DEVICES_MAX)
                return -E2BIG;

        devices = reallocarray(config->devices, config->n_devices + 1, sizeof(*devices));
        if (!devices)
                return -ENOMEM;
        config->devices = devices;

        devices[config->n_devices] = (DeviceConfig){};
        inifile_set_defaults(&sections[SECTION_DEVICE], &devices[config->n_devices]);
        devices[config->n_devices].name = TAKE_PTR(name);

        *ret_target = &devices[config->n_devices++];
        return 0;
}

void config_init(Config *config)
{
        *config = (Config){};
        inifile_set_defaults(&sections[SECTION_DAEMON], config);
        inifile_set_defaults(&sections[SECTION_TIER], &config->cheap);
        inifile_set_defaults(&sections[SECTION_TIER], &config->fast);
}

void config_deinit(Config *config)
{
        for (size_t i = 0; i < config->n_devices; i++)
                free(config->devices[i].name);
        free(config->devices);
        free(config->cheap.file);
        free(config->fast.file);
        *config = (Config){};
}

int config_merge(Config *config, const char *file, const char *text, ConfigError *ret_error)
{
        return inifile_parse(file, text, &config_schema, config, ret_error);
}

int config_check(const Config *config, ConfigError *ret_error)
{
        const TierConfig *cheap = &config->cheap, *fast = &config->fast;

        int node;

        if (cheap->automatic || fast->automatic)
                return 0;

        node = nodeset_first_common(&cheap->nodes, &fast->nodes);
        if (node < 0)
                return 0;

        return config_error_set(ret_error, fast->file, fast->line,
                                "node %d is in [Tier fast] and, by %s:%u, in [Tier cheap]: "
                                "expected every node in one tier at most",
                                node, cheap->file, cheap->line);
}
