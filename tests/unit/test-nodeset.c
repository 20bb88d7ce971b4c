/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/nodeset.h"

Test(nodeset, reads_the_kernels_list_format_and_writes_it_back)
{
        static const char *const texts[] = { "", "0", "2", "0,2-3", "0-1023", "7,63-65,1023" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                char text[NODESET_TEXT_MAX];
                NodeSet set;

                cr_assert_eq(nodeset_parse(texts[i], &set), 0, "%s", texts[i]);
                cr_assert_eq(nodeset_format(&set, text, sizeof(text)), 0);
                cr_assert_str_eq(text, texts[i]);
        }
}

Test(nodeset, refuses_what_is_no_list_and_leaves_the_result_untouched)
{
        static const char *const texts[] = {
                "x", "1,", ",1", "1-", "-1", "3-2", "1 2", " 1", "1,,2"
        };
        NodeSet set = {}, before;

        nodeset_add(&set, 5);
        before = set;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                cr_assert_eq(nodeset_parse(texts[i], &set), -EINVAL, "%s", texts[i]);
        cr_assert_eq(nodeset_parse("1024", &set), -ERANGE);
        cr_assert_eq(nodeset_parse("99999999999999999999", &set), -ERANGE);
        cr_assert(nodeset_equal(&set, &before));
}

Test(nodeset, the_longest_text_fits)
{
        char text[NODESET_TEXT_MAX];
        NodeSet set = {};

        for (unsigned node = 0; node < NODESET_MAX; node += 2)
                nodeset_add(&set, node);
        cr_assert_eq(nodeset_count(&set), NODESET_MAX / 2);
        cr_assert_eq(nodeset_format(&set, text, sizeof(text)), 0);
        cr_assert_eq(nodeset_format(&set, text, 8), -ENOSPC);
}

Test(nodeset, walks_in_order_and_past_the_end)
{
        NodeSet set = {};

        nodeset_add(&set, 2);
        nodeset_add(&set, 64);
        nodeset_add(&set, NODESET_MAX); /* no such node: ignored */
        cr_assert_eq(nodeset_next(&set, 0), 2);
        cr_assert_eq(nodeset_next(&set, 3), 64);
        cr_assert_eq(nodeset_next(&set, 65), -1);
        nodeset_remove(&set, 2);
        cr_assert_eq(nodeset_next(&set, 0), 64);
}

Test(nodeset, finds_the_first_node_of_both)
{
        NodeSet a, b, none = {};

        cr_assert_eq(nodeset_parse("0,5-7,1023", &a), 0);
        cr_assert_eq(nodeset_parse("1,6-9,1023", &b), 0);
        cr_assert_eq(nodeset_first_common(&a, &b), 6);
        nodeset_remove(&b, 6);
        nodeset_remove(&b, 7);
        cr_assert_eq(nodeset_first_common(&a, &b), 1023);
        cr_assert_eq(nodeset_first_common(&a, &none), -1);
}
