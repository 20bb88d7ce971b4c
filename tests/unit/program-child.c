/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Linked statically and dynamically, for test-program and test-cli. */
int main(void)
{
        return 0;
}
