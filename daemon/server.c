/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/server.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-id128.h>

#include "daemon/bus.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "policy/macro.h"

static void connection_free(Connection *connection)
{
        sd_bus_close_unref(connection->bus);
        free(connection);
}

static void connection_remove(Connection *connection)
{
        Server *server = &connection->manager->server;

        for (Connection **link = &server->connections; *link; link = &(*link)->next)
                if (*link == connection) {
                        *link = connection->next;
                        break;
                }

        if (connection->direct)
                server->n_direct--;
        else
                server->system_lost = true;
        connection_free(connection);
}

void server_deinit(Server *server)
{
        while (server->connections) {
                Connection *connection = server->connections;

                server->connections = connection->next;
                /* This waits until the peer has read all: only root has answers to wait for, and a
                 * stranger who does not read must not keep us from stopping. */
                if (connection->uid == 0)
                        sd_bus_flush(connection->bus);
                connection_free(connection);
        }
        if (server->path)
                unlink(server->path);
        sd_event_source_disable_unref(server->listen_source);
        closep(&server->listen_fd);
        *server = (Server){ .listen_fd = -1 };
}

/* A client that asks and does not read. sd-bus would keep 384Ki answers for it. */
static bool is_stuck(const Connection *connection)
{
        uint64_t n_queued;

        return connection->direct && sd_bus_get_n_queued_write(connection->bus, &n_queued) >= 0 &&
               n_queued > SERVER_QUEUE_MAX;
}

/* Before any other callback sees the message. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        if (!is_stuck(userdata))
                return 0;

        connection_remove(userdata);
        return 1;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        connection_remove(userdata);
        return 0;
}

/* Links the connection in: from here on it goes with its bus. Takes both. */
static int connection_add(Manager *manager, sd_bus *bus, bool direct, uid_t uid)
{
        Connection *connection;
        int r;

        connection = calloc(1, sizeof(*connection));
        if (!connection) {
                sd_bus_close_unref(bus);
                return -ENOMEM;
        }
        *connection = (Connection){ .manager = manager, .bus = bus, .direct = direct, .uid = uid };

        r = bus_object_add(connection);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, connection);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local",
                                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                        "Disconnected", on_disconnected, connection);
        if (r >= 0)
                r = sd_bus_attach_event(bus, manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                connection_free(connection);
                return r;
        }

        connection->next = manager->server.connections;
        manager->server.connections = connection;
        if (direct)
                manager->server.n_direct++;
        return 0;
}

static int direct_start(sd_bus *bus, int fd)
{
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_description(bus, "client");
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, false);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        return r;
}

int server_add_client(Manager *manager, int fd, uid_t uid)
{
        sd_bus *bus;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0) {
                close(fd);
                return r;
        }

        r = direct_start(bus, fd);
        if (r < 0) {
                sd_bus_unref(bus);
                close(fd);
                return r;
        }
        r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        return connection_add(manager, bus, true, uid);
}

static bool is_full(const Server *server, uid_t uid)
{
        size_t n_same = 0;

        for (const Connection *other = server->connections; other; other = other->next)
                if (other->direct && other->uid == uid)
                        n_same++;
        /* One person may have many user ids; the last places are root's. */
        if (uid == 0)
                return server->n_direct >= SERVER_CONNECTIONS_MAX + SERVER_CONNECTIONS_USER_MAX;
        return server->n_direct >= SERVER_CONNECTIONS_MAX || n_same >= SERVER_CONNECTIONS_USER_MAX;
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t revents, void *userdata)
{
        Manager *manager = userdata;
        _cleanup_(closep) int fd = -1;
        struct ucred peer;
        socklen_t size = sizeof(peer);

        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0; /* it went away again, or we are out of descriptors for now */

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
            is_full(&manager->server, peer.uid))
                return 0;

        server_add_client(manager, TAKE_FD(fd), peer.uid);
        return 0;
}

/* Whether somebody answers there: a socket that a killed daemon left behind refuses. */
static bool is_served(const struct sockaddr_un *address)
{
        _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) >= 0;
}

int server_listen(Manager *manager, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Server *server = &manager->server;
        int r;

        if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
            sizeof(address.sun_path))
                return -ENAMETOOLONG;
        if (is_served(&address))
                return -EADDRINUSE;

        server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (server->listen_fd < 0)
                return -errno;

        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        if (bind(server->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        server->path = path;
        /* Everybody may ask; who may change something is checked for each call. */
        if (chmod(path, 0666) < 0 || listen(server->listen_fd, SOMAXCONN) < 0)
                return -errno;

        r = sd_event_add_io(manager->event, &server->listen_source, server->listen_fd, EPOLLIN,
                            on_connection, manager);
        if (r >= 0)
                r = sd_event_source_set_description(server->listen_source, "bus-listen");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(server->listen_source, true);
        return r;
}

static int on_name(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        Connection *connection = userdata;

        if (!sd_bus_message_is_method_error(message, NULL))
                return 0;

        log_event(LOG_NOTICE, NULL, NULL, 0,
                  "The system bus refuses the name %s (%s): clients still have %s", BUS_NAME,
                  sd_bus_message_get_error(message)->message, BUS_SOCKET_PATH);
        connection_remove(connection);
        return 1; /* no other callback may see the message: they have the connection */
}

static int system_start(sd_bus *bus)
{
        int r;

        r = sd_bus_set_description(bus, "system-bus");
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=/run/dbus/system_bus_socket");
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_set_watch_bind(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        return r;
}

int server_connect_system(Manager *manager)
{
        sd_bus *bus;
        int r;

        manager->server.system_lost = true; /* until we are on it */
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;

        r = system_start(bus);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }

        r = connection_add(manager, bus, false, 0);
        if (r < 0)
                return r;
        manager->server.system_lost = false;

        r = sd_bus_request_name_async(bus, NULL, BUS_NAME, 0, on_name, manager->server.connections);
        if (r < 0)
                connection_remove(manager->server.connections);
        return r;
}

void server_announce(Server *server)
{
        for (Connection *connection = server->connections; connection;
             connection = connection->next)
                if (sd_bus_is_ready(connection->bus) > 0 && !is_stuck(connection))
                        sd_bus_emit_properties_changed(connection->bus, BUS_PATH, BUS_INTERFACE,
                                                       "State", "Status", "Problems", "Devices",
                                                       "Tiers", NULL);
}
