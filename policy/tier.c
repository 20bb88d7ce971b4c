/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/tier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/macro.h"

#define NODE_PREFIX "node:"

static const char *const kind_names[] = {
        [TIER_DEFAULT] = "default",
        [TIER_FAST] = "fast",
        [TIER_CHEAP] = "cheap",
};

int tier_parse(const char *text, Tier *ret_tier)
{
        Tier tier = {};

        if (strncmp(text, NODE_PREFIX, strlen(NODE_PREFIX)) == 0) {
                tier.kind = TIER_NODES;
                if (nodeset_parse(text + strlen(NODE_PREFIX), &tier.nodes) < 0 ||
                    nodeset_is_empty(&tier.nodes))
                        return -EINVAL;

                *ret_tier = tier;
                return 0;
        }

        for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
                if (strcmp(text, kind_names[i]) == 0) {
                        tier.kind = (TierKind)i;
                        *ret_tier = tier;
                        return 0;
                }

        return -EINVAL;
}

int tier_format(const Tier *tier, char *text, size_t size)
{
        const char *name = tier->kind == TIER_NODES ? NODE_PREFIX : kind_names[tier->kind];
        size_t length = strlen(name);

        if (length >= size)
                return -ENOSPC;
        memcpy(text, name, length + 1);

        if (tier->kind != TIER_NODES)
                return 0;
        return nodeset_format(&tier->nodes, text + length, size - length);
}

static bool node_fits(const Node *node, const NodeSet *list, bool automatic)
{
        if (!node->has_memory)
                return false;

        return list ? nodeset_has(list, node->id) : automatic;
}

void tiers_sort(const Node *nodes, size_t n_nodes, const NodeSet *cheap, const NodeSet *fast,
                Tiers *ret_tiers)
{
        Tiers tiers = {};

        for (size_t i = 0; i < n_nodes; i++) {
                const Node *node = &nodes[i];
                bool listed_cheap = cheap && nodeset_has(cheap, node->id);
                bool listed_fast = fast && nodeset_has(fast, node->id);

                if (node_fits(node, cheap, node->is_dax && !node->has_cpu && !listed_fast))
                        nodeset_add(&tiers.cheap, node->id);
                if (node_fits(node, fast, node->has_cpu && !listed_cheap))
                        nodeset_add(&tiers.fast, node->id);
        }

        proximity_build(nodes, n_nodes, &tiers.proximity);
        *ret_tiers = tiers;
}

int tiers_resolve(const Tiers *tiers, const Tier *tier, NodeSet *ret_nodes)
{
        NodeSet nodes = {};

        switch (tier->kind) {
        case TIER_DEFAULT:
                *ret_nodes = nodes;
                return 0;
        case TIER_FAST:
                nodes = tiers->fast;
                break;
        case TIER_CHEAP:
                nodes = tiers->cheap;
                break;
        case TIER_NODES:
                nodes = tier->nodes;
                break;
        }

        if (nodeset_is_empty(&nodes))
                return -ENXIO;

        *ret_nodes = nodes;
        return 0;
}

int tiers_resolve_near(const Tiers *tiers, const Tier *tier, const NodeSet *allowed,
                       const NodeSet *home, NodeSet *ret_nodes)
{
        NodeSet nodes, usable;
        int r;

        r = tiers_resolve(tiers, tier, &nodes);
        if (r < 0)
                return r;

        if (tiers_have_choice(tiers, tier)) {
                usable = nodes;
                if (allowed)
                        nodeset_intersect(&usable, allowed);
                if (!nodeset_is_empty(&usable))
                        proximity_nearest(&tiers->proximity, &usable, home, &nodes);
        }

        *ret_nodes = nodes;
        return 0;
}

bool tiers_have_choice(const Tiers *tiers, const Tier *tier)
{
        const NodeSet *nodes = tier->kind == TIER_CHEAP  ? &tiers->cheap
                               : tier->kind == TIER_FAST ? &tiers->fast
                                                         : NULL;

        return nodes && nodeset_count(nodes) > 1 && proximity_matters(&tiers->proximity);
}

bool tiers_equal(const Tiers *a, const Tiers *b)
{
        return nodeset_equal(&a->cheap, &b->cheap) && nodeset_equal(&a->fast, &b->fast) &&
               proximity_equal(&a->proximity, &b->proximity);
}

const char *tiers_name_of(const Tiers *tiers, unsigned node)
{
        if (nodeset_has(&tiers->cheap, node))
                return kind_names[TIER_CHEAP];
        if (nodeset_has(&tiers->fast, node))
                return kind_names[TIER_FAST];
        return NULL;
}
