/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/job.h"

typedef struct Manager Manager;
typedef struct Server Server;
typedef struct Connection Connection;

/* How many clients the private socket serves at once, and how many of one user other than root, so
 * that nobody can lock the others out. As many more are for root alone. */
#define SERVER_CONNECTIONS_MAX      64u
#define SERVER_CONNECTIONS_USER_MAX 16u
/* How many answers wait for a client on the private socket before it is dropped. */
#define SERVER_QUEUE_MAX 128u

/* A bus on which the manager's object is offered. */
struct Connection {
        Manager *manager;
        sd_bus *bus;
        bool direct; /* a client on the private socket; else the system bus */
        uid_t uid;   /* of the direct client, from the kernel */
        Connection *next;
};

/* Where clients come from. */
struct Server {
        int listen_fd;
        const char *path; /* of the listening socket; NULL: there is none */
        sd_event_source *listen_source;
        Connection *connections; /* the system bus, if any, is one of them */
        size_t n_direct;
        bool system_lost; /* the system bus went away, or refused our name: try again later */
};

void server_deinit(Server *server);

/* Listens on the private socket at @path, replacing what a killed daemon left there. -EADDRINUSE:
 * another one runs. */
int server_listen(Manager *manager, const char *path);

/* Offers the object to a connected client. Owns @fd in any case. */
int server_add_client(Manager *manager, int fd, uid_t uid);

/* Connects to the system bus, or waits for it to appear: its absence is no failure. */
int server_connect_system(Manager *manager);

/* Tells all clients that the properties have changed. */
void server_announce(Server *server);

/* bus.c: who is behind a call. The kernel says who is behind the private socket; a sender that such a
 * client writes into its message is worth nothing, so sd-bus is only asked about the system bus,
 * whose broker cannot be lied to. */
int bus_sender(sd_bus_message *message, const Connection *connection, uid_t *ret_uid);

/* bus.c: the object itself. */
int bus_object_add(Connection *connection);

/* Ends a job that a client asked for: answers it. */
void bus_job_done(const Job *job);
