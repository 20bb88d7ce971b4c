/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* List on a process of this machine, over a connection of our own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/listing.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* A directory's name in a path that is as long as paths may be. */
#define LEVEL                                                                                      \
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LEVELS 38u

typedef struct Hall {
        sd_event *event;
        Scratch scratch;
        Placement *placement;
        sd_bus *server, *client;
        sd_bus_message *call, *reply;
        pid_t pid;
        unsigned n_turns; /* of the event loop until the reply */
} Hall;

static Hall hall;

static int on_call(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(message, NULL, "List"))
                return 0;
        hall.call = sd_bus_message_ref(message);
        return 1;
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        hall.reply = sd_bus_message_ref(message);
        return 1;
}

static void connect_both(void)
{
        sd_id128_t id;
        int fds[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(sd_id128_randomize(&id), 0);
        cr_assert_geq(sd_bus_new(&hall.server), 0);
        cr_assert_geq(sd_bus_set_fd(hall.server, fds[0], fds[0]), 0);
        cr_assert_geq(sd_bus_set_server(hall.server, 1, id), 0);
        cr_assert_geq(sd_bus_set_anonymous(hall.server, 1), 0);
        cr_assert_geq(sd_bus_attach_event(hall.server, hall.event, 0), 0);
        cr_assert_geq(sd_bus_add_filter(hall.server, NULL, on_call, NULL), 0);
        cr_assert_geq(sd_bus_start(hall.server), 0);
        cr_assert_geq(sd_bus_new(&hall.client), 0);
        cr_assert_geq(sd_bus_set_fd(hall.client, fds[1], fds[1]), 0);
        cr_assert_geq(sd_bus_set_anonymous(hall.client, 1), 0);
        cr_assert_geq(sd_bus_attach_event(hall.client, hall.event, 0), 0);
        cr_assert_geq(sd_bus_start(hall.client), 0);
}

/* Everything is left alone, so that there is only looking and telling. */
static void setup(void)
{
        static const char text[] = "[Match]\nCgroup=/**\n[Cow]\nFile=*/file\nTier=default\n";
        PlacementHost host = { .cgroup_fd = -1, .run_fd = -1, .injector_path = "/nonexistent" };
        Rule *rules = calloc(1, sizeof(*rules));

        hall.scratch = scratch_new();
        host.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        host.sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(sd_event_new(&hall.event), 0);
        cr_assert_eq(placement_new(hall.event, &host, &hall.placement), 0);
        cr_assert_eq(rule_parse("10-test.conf", text, rules, NULL), 0);
        placement_set_rules(hall.placement, rules, 1);
        connect_both();
}

static void teardown(void)
{
        kill(hall.pid, SIGKILL);
        waitpid(hall.pid, NULL, 0);
        placement_free(hall.placement);
        sd_bus_message_unref(hall.call);
        sd_bus_message_unref(hall.reply);
        sd_bus_flush_close_unref(hall.client);
        sd_bus_flush_close_unref(hall.server);
        sd_event_unref(hall.event);
        scratch_freep(&hall.scratch);
}

/* A file so many levels down. */
static int file_make(unsigned n_levels)
{
        int dir_fd = dup(hall.scratch.fd), fd;

        for (unsigned i = 0; i < n_levels; i++) {
                cr_assert_eq(mkdirat(dir_fd, LEVEL, 0755), 0);
                fd = openat(dir_fd, LEVEL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                cr_assert_geq(fd, 0);
                close(dir_fd);
                dir_fd = fd;
        }
        fd = openat(dir_fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        cr_assert_eq(ftruncate(fd, 4096), 0);
        close(dir_fd);
        return fd;
}

/* A process that has mapped it @n times and written to each, known to the placement. */
static void process_start(unsigned n_levels, unsigned n)
{
        int fd = file_make(n_levels), ready[2];
        char byte = 0;

        cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
        hall.pid = fork();
        cr_assert_geq(hall.pid, 0);
        if (hall.pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (unsigned i = 0; i < n; i++) {
                        char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

                        if (at == MAP_FAILED)
                                _exit(1);
                        *at = 1;
                }
                if (write(ready[1], &byte, 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(fd);
        cr_assert_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        cr_assert_not_null(placement_target(hall.placement, hall.pid));
}

static void call_make(void)
{
        cr_assert_geq(sd_bus_call_method_async(hall.client, NULL, NULL, "/", "a.b", "List",
                                               on_reply, NULL, NULL),
                      0);
        while (!hall.call)
                cr_assert_geq(sd_event_run(hall.event, UINT64_MAX), 0);
}

/* What is listed of a mapping that matters here. */
typedef struct Row {
        uint64_t cow_bytes;
        char reason[128];
} Row;

static void row_read(sd_bus_message *reply, Row *row)
{
        const char *key, *text;

        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                cr_assert_gt(sd_bus_message_read(reply, "s", &key), 0);
                if (strcmp(key, "cow_bytes") == 0)
                        cr_assert_gt(sd_bus_message_read(reply, "v", "t", &row->cow_bytes), 0);
                else if (strcmp(key, "reason") == 0) {
                        cr_assert_gt(sd_bus_message_read(reply, "v", "s", &text), 0);
                        snprintf(row->reason, sizeof(row->reason), "%s", text);
                } else
                        cr_assert_gt(sd_bus_message_skip(reply, "v"), 0);
                cr_assert_gt(sd_bus_message_exit_container(reply), 0);
        }
}

/* Asks, and reads the answer. Returns how many rows there are, and the last one. */
static size_t list(const ListingFilter *filter, uint64_t *ret_bytes, Row *ret_last)
{
        size_t n = 0;
        Row row = {};

        *ret_bytes = 0;
        call_make();
        cr_assert_eq(listing_start(hall.placement, hall.call, filter), 0);
        for (; !hall.reply; hall.n_turns++)
                cr_assert_geq(sd_event_run(hall.event, UINT64_MAX), 0);
        cr_assert_not(sd_bus_message_is_method_error(hall.reply, NULL));

        cr_assert_gt(sd_bus_message_enter_container(hall.reply, 'a', "a{sv}"), 0);
        while (sd_bus_message_enter_container(hall.reply, 'a', "{sv}") > 0) {
                row_read(hall.reply, &row);
                cr_assert_gt(sd_bus_message_exit_container(hall.reply), 0);
                *ret_bytes += row.cow_bytes;
                n++;
        }
        *ret_last = row;
        return n;
}

#define HallTest(name) Test(listing, name, .init = setup, .fini = teardown, .timeout = 60)

HallTest(a_process_is_listed_whole)
{
        const ListingFilter filter = { .cgroup = "", .file = "", .all_users = true };
        uint64_t bytes;
        Row last;

        process_start(0, 3000);
        cr_expect_eq(list(&filter, &bytes, &last), 3000);
        cr_expect_eq(bytes, 3000 * 4096);
        cr_expect_neq(strstr(last.reason, "Tier=default"), NULL);
}

/* Nobody can make the list longer than a message may be. */
HallTest(too_much_is_added_up)
{
        const ListingFilter filter = { .cgroup = "", .file = "", .all_users = true };
        uint64_t bytes;
        size_t n;
        Row last;

        process_start(LEVELS, 8000);
        n = list(&filter, &bytes, &last);
        cr_expect_lt(n, 7900);
        cr_expect_gt(n, 1000);
        cr_expect_eq(bytes, 8000 * 4096, "nothing is missing");
        cr_expect_neq(strstr(last.reason, "added up"), NULL);
}

/* A pattern that takes long to compare, as strangers may write them. */
HallTest(the_event_loop_has_other_turns_meanwhile)
{
        ListingFilter filter = { .cgroup = "", .all_users = true };
        _cleanup_(freep) char *pattern = NULL;
        uint64_t bytes;
        Row last;

        process_start(LEVELS, 1000);
        cr_assert_gt(asprintf(&pattern, "*%s[b]", LEVEL), 0);
        filter.file = pattern;
        cr_expect_eq(list(&filter, &bytes, &last), 0);
        cr_expect_geq(hall.n_turns, 10);
}

HallTest(one_user_does_not_keep_others_from_asking)
{
        const ListingFilter user = { .cgroup = "", .file = "", .uid = 1000 };
        const ListingFilter other = { .cgroup = "", .file = "", .uid = 1001 };
        const ListingFilter root = { .cgroup = "", .file = "", .all_users = true };

        process_start(0, 1);
        call_make();
        for (unsigned i = 0; i < LISTINGS_MAX_USER; i++)
                cr_assert_eq(listing_start(hall.placement, hall.call, &user), 0);
        cr_expect_eq(listing_start(hall.placement, hall.call, &user), -EBUSY);
        cr_expect_eq(listing_start(hall.placement, hall.call, &other), 0);
        cr_expect_eq(listing_start(hall.placement, hall.call, &root), 0);
}

HallTest(texts_have_bounds)
{
        ListingFilter filter = { .cgroup = "", .all_users = true };
        char text[LISTING_TEXT_MAX + 2];

        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        filter.file = text;
        process_start(0, 1);
        call_make();
        cr_expect_eq(listing_start(hall.placement, hall.call, &filter), -EINVAL);
}
