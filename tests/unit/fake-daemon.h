/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "tests/unit/scratch.h"

/* A daemon of one answer: what it says is up to each test. */
typedef int (*answer_fn)(sd_bus_message *call, void *userdata, sd_bus_error *error);

typedef struct Stage {
        Scratch scratch;
        char socket[128];
        pid_t daemon;
} Stage;

static inline void serve(int listen_fd, answer_fn answer)
{
        sd_bus *bus;
        sd_id128_t id;

        if (sd_id128_randomize(&id) < 0 || sd_bus_new(&bus) < 0)
                _exit(1);
        listen_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (sd_bus_set_fd(bus, listen_fd, listen_fd) < 0 || sd_bus_set_server(bus, true, id) < 0 ||
            sd_bus_set_anonymous(bus, true) < 0 || sd_bus_add_filter(bus, NULL, answer, NULL) < 0 ||
            sd_bus_start(bus) < 0)
                _exit(2);

        for (;;) {
                int r = sd_bus_process(bus, NULL);

                if (r < 0)
                        _exit(0); /* the client has gone */
                if (r == 0)
                        sd_bus_wait(bus, UINT64_MAX);
        }
}

static inline void stage_init(Stage *stage, answer_fn answer)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        stage->scratch = scratch_new();
        snprintf(stage->socket, sizeof(stage->socket), "%s/bus", stage->scratch.path);
        strcpy(address.sun_path, stage->socket);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(fd, 1), 0);

        stage->daemon = fork();
        cr_assert_geq(stage->daemon, 0);
        if (stage->daemon == 0)
                serve(fd, answer);
        close(fd);
}

static inline void stage_deinit(Stage *stage)
{
        kill(stage->daemon, SIGKILL);
        waitpid(stage->daemon, NULL, 0);
        scratch_freep(&stage->scratch);
}
