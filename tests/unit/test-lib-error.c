/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every way to misuse the library has its own errno and sentence, and nothing is half done. */

#include <errno.h>
#include <sys/socket.h>

#include "lib-fixture.h"
#include "policy/macro.h"

TestSuite(lib_error, .init = fixture_make, .fini = fixture_remove);

#define UNTOUCHED ((void *)0x1234)

static void refused(int error, int fd, uint64_t offset, size_t length,
                    const struct daxtier_map_options *options)
{
        long before = count_mappings();
        void *address = UNTOUCHED;
        int r = daxtier_map(handle, fd, offset, length, options, &address);

        cr_assert_eq(r, error, "%d (%s), not %d", r, strerror(-r), error);
        cr_assert_eq(address, UNTOUCHED);
        cr_assert_eq(count_mappings(), before, "something stayed mapped");
        cr_assert_eq(handle->ranges.n_items, 0);
}

static void refused_path(int error, const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC);

        cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
        refused(error, fd, 0, PAGE, NULL);
        close(fd);
}

static void refused_options(int error, const char *tier, uint32_t flags)
{
        struct daxtier_map_options options = { .size = sizeof(options),
                                               .tier = tier,
                                               .flags = flags };

        refused(error, fixture_fd, 0, PAGE, &options);
}

Test(lib_error, descriptors)
{
        int fds[2];

        refused(-EBADF, -1, 0, PAGE, NULL);
        refused(-EBADF, 12345, 0, PAGE, NULL);
        refused_path(-EBADF, fixture_file, O_PATH);
        refused_path(-EACCES, fixture_file, O_WRONLY);
        refused_path(-EISDIR, fixture_dir, O_RDONLY | O_DIRECTORY);
        refused_path(-ENODEV, "/dev/null", O_RDWR);
        refused_path(-ENODEV, "/dev/zero", O_RDWR);

        cr_assert_eq(pipe(fds), 0);
        refused(-ENODEV, fds[0], 0, PAGE, NULL);
        close(fds[0]);
        close(fds[1]);

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        refused(-ENODEV, fds[0], 0, PAGE, NULL);
        close(fds[0]);
        close(fds[1]);
}

Test(lib_error, block_devices)
{
        /* Any block device will do; where a machine shows none there is nothing to confuse. */
        FILE *list = popen("find /dev -type b 2>/dev/null | head -n 1", "re"); /* NOLINT */
        char path[256] = "";
        int fd;

        cr_assert_not_null(list);
        if (fgets(path, sizeof(path), list))
                path[strcspn(path, "\n")] = '\0';
        pclose(list);

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                cr_skip_test("no block device that we may read");
        refused(-ENODEV, fd, 0, PAGE, NULL);
        close(fd);
}

Test(lib_error, ranges_of_the_file)
{
        refused(-ENODATA, fixture_fd, 0, 0, NULL);
        refused(-EINVAL, fixture_fd, 1, PAGE, NULL);
        refused(-EOVERFLOW, fixture_fd, FILE_PAGES * (uint64_t)PAGE, PAGE, NULL);
        refused(-EOVERFLOW, fixture_fd, UINT64_MAX - PAGE + 1, PAGE, NULL);
        refused(-EOVERFLOW, fixture_fd, INT64_MAX - PAGE + 1, PAGE, NULL);
        refused(-EOVERFLOW, fixture_fd, PAGE, SIZE_MAX, NULL);
        refused(-ENOMEM, fixture_fd, 0, (size_t)1 << 60, NULL);

        cr_assert_eq(ftruncate(fixture_fd, 0), 0);
        refused(-EOVERFLOW, fixture_fd, 0, PAGE, NULL);
}

Test(lib_error, tiers)
{
        refused_options(-EDOM, "Cheap", 0);
        refused_options(-EDOM, "", 0);
        refused_options(-EDOM, "node:", 0);
        refused_options(-ENXIO, "fast", 0); /* the fixture publishes it empty */
        refused_options(-ENXIO, "node:1000", 0);
}

Test(lib_error, flags)
{
        refused_options(-EINVAL, NULL, 4);
        refused_options(-EINVAL, NULL, UINT32_MAX);
        refused_options(-EMEDIUMTYPE, NULL, DAXTIER_DIRECT);
        refused_options(-EMEDIUMTYPE, NULL, DAXTIER_DIRECT | DAXTIER_STRICT);
}

Test(lib_error, protection)
{
        struct daxtier_map_options options = { .size = sizeof(options), .prot = 1 << 20 };

        refused(-EINVAL, fixture_fd, 0, PAGE, &options);
}

Test(lib_error, option_sizes)
{
        static const size_t sizes[] = { 0, 1, sizeof(struct daxtier_map_options) - 1, 4097,
                                        SIZE_MAX };

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct daxtier_map_options options = { .size = sizes[i] };

                refused(-EINVAL, fixture_fd, 0, PAGE, &options);
        }
}

/* A sparse file larger than the memory of any machine: strict cannot promise that. */
Test(lib_error, strict_without_room)
{
        struct daxtier_map_options options = { .size = sizeof(options), .flags = DAXTIER_STRICT };
        const off_t huge = (off_t)1 << 43;
        void *address;

        cr_assert_eq(ftruncate(fixture_fd, huge), 0, "8 TiB, sparse: %s", strerror(errno));
        refused(-ENOSPC, fixture_fd, 0, (size_t)huge, &options);

        /* Only what can be copied counts. */
        cr_assert_eq(ftruncate(fixture_fd, PAGE), 0);
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, (size_t)huge, &options, &address), 0);
        cr_assert_eq(daxtier_place(handle, address, (size_t)huge, "cheap", DAXTIER_STRICT),
                     -ENOSPC);
}

Test(lib_error, unmap)
{
        char *address = fixture_map(2);

        cr_assert_eq(daxtier_unmap(handle, address, 0), -ENODATA);
        cr_assert_eq(daxtier_unmap(handle, address + 1, PAGE), -EINVAL);
        cr_assert_eq(daxtier_unmap(handle, address, SIZE_MAX), -EINVAL);
        cr_assert_eq(daxtier_unmap(handle, address, 3 * PAGE), -ENOENT);
        cr_assert_eq(daxtier_unmap(handle, NULL, PAGE), -ENOENT);
        cr_assert(is_mapped(address) && is_mapped(address + PAGE));
}

Test(lib_error, place)
{
        char *address = fixture_map(1);

        cr_assert_eq(daxtier_place(handle, address, 0, "cheap", 0), -ENODATA);
        cr_assert_eq(daxtier_place(handle, address + 1, PAGE, "cheap", 0), -EINVAL);
        cr_assert_eq(daxtier_place(handle, address, PAGE, "cheap", DAXTIER_DIRECT), -EINVAL);
        cr_assert_eq(daxtier_place(handle, address, PAGE, "warm", 0), -EDOM);
        cr_assert_eq(daxtier_place(handle, address, PAGE, "node:1000", 0), -ENXIO);
        cr_assert_eq(daxtier_place(handle, NULL, PAGE, "cheap", 0), -EFAULT);
        cr_assert_str_eq(own_policy(address), "prefer:0", "unchanged");
}

Test(lib_error, a_missing_handle_or_output)
{
        void *address = UNTOUCHED;
        struct daxtier_info *info;

        cr_assert_eq(daxtier_open(NULL), -EINVAL);
        cr_assert_eq(daxtier_map(NULL, fixture_fd, 0, PAGE, NULL, &address), -EINVAL);
        cr_assert_eq(daxtier_map(handle, fixture_fd, 0, PAGE, NULL, NULL), -EINVAL);
        cr_assert_eq(daxtier_unmap(NULL, address, PAGE), -EINVAL);
        cr_assert_eq(daxtier_place(NULL, address, PAGE, "cheap", 0), -EINVAL);
        cr_assert_eq(daxtier_place(handle, address, PAGE, NULL, 0), -EINVAL);
        cr_assert_eq(daxtier_query(NULL, 0, address, &info), -EINVAL);
        cr_assert_eq(daxtier_query(handle, 0, address, NULL), -EINVAL);
        cr_assert_eq(daxtier_query(handle, -1, address, &info), -EINVAL);
        daxtier_free(NULL);
}

/* The errors that daxtier.h names. */
Test(lib_error, each_error_has_its_own_sentence)
{
        static const int errors[] = {
                0,      E2BIG,   EACCES, EBADF,       EDOM,       EFAULT,    EINVAL,
                EISDIR, ENODATA, ENODEV, ENOENT,      ENOMEM,     ENOSPC,    ENOSYS,
                ENXIO,  EPERM,   ESRCH,  EMEDIUMTYPE, EOPNOTSUPP, EOVERFLOW,
        };

        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                const char *text = daxtier_strerror(-errors[i]);

                cr_assert_str_eq(text, daxtier_strerror(errors[i]));
                cr_assert_eq(text[strlen(text) - 1], '.');
                cr_assert_str_neq(text, daxtier_strerror(99999));
                for (size_t j = 0; j < i; j++)
                        cr_assert_str_neq(text, daxtier_strerror(errors[j]));
        }
}

Test(lib_error, version_is_the_projects)
{
        cr_assert_str_eq(daxtier_version(), PROJECT_VERSION);
}
