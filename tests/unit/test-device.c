/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/device.h"

static const Device device = {
        .chardev = "dax1.0",
        .path = "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region1/dax1.1/dax1.0",
        .uuid = "9d5f3f7e-5d2c-4a52-8b5b-0f6a3f6d2c11",
};

Test(device, is_named_by_its_chardev)
{
        cr_assert(device_is_named(&device, "dax1.0"));
        cr_assert_not(device_is_named(&device, "dax1.00"));
        cr_assert_not(device_is_named(&device, "dax1"));
        cr_assert_not(device_is_named(&device, "dax1.*"));
}

Test(device, is_named_by_its_uuid_in_either_case)
{
        const Device without = { .chardev = "dax1.0" };

        cr_assert(device_is_named(&device, "uuid:9d5f3f7e-5d2c-4a52-8b5b-0f6a3f6d2c11"));
        cr_assert(device_is_named(&device, "uuid:9D5F3F7E-5D2C-4A52-8B5B-0F6A3F6D2C11"));
        cr_assert_not(device_is_named(&device, "uuid:9d5f3f7e-5d2c-4a52-8b5b-0f6a3f6d2c12"));
        cr_assert_not(device_is_named(&without, "uuid:"));
}

Test(device, is_named_by_a_glob_on_its_path)
{
        cr_assert(device_is_named(&device, "path:*/ndbus0/region1/*"));
        cr_assert_not(device_is_named(&device, "path:*/ndbus0/region2/*"));
        cr_assert_not(device_is_named(&device, "path:ndbus0"));
}

Test(device, speaks_daxctls_words)
{
        cr_assert_str_eq(device_mode_name(DEVICE_MODE_DEVDAX), "devdax");
        cr_assert_str_eq(device_mode_name(DEVICE_MODE_SYSTEM_RAM), "system-ram");
}
