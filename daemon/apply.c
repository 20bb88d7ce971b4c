/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/apply.h"

#include <errno.h>
#include <sys/epoll.h>

#include "daemon/injection.h"
#include "policy/macro.h"

typedef struct Connection Connection;

struct Apply {
        InjectRequest request;
        apply_done_fn done; /* NULL: cancelled */
        void *userdata;
        bool sent;
        Apply *next; /* in the queue */
};

struct Connection {
        Applier *applier;
        int fd; /* -1: not connected */
        sd_event_source *source;
        Apply *apply; /* under way; NULL: idle */
};

struct Applier {
        sd_event *event;
        const char *path;
        Connection connections[APPLY_CONNECTIONS];
        Apply *first;
        Apply **last;
        sd_event_source *kick; /* starts what waits, from the event loop */
};

static void connection_close(Connection *connection)
{
        connection->source = sd_event_source_disable_unref(connection->source);
        if (connection->fd >= 0)
                close(connection->fd);
        connection->fd = -1;
}

static void apply_end(Apply *apply, const InjectOutcome *outcome, int error)
{
        if (apply->done)
                apply->done(outcome, error, apply->userdata);
        free(apply);
}

static int kick(Applier *applier)
{
        return sd_event_source_set_enabled(applier->kick, SD_EVENT_ONESHOT);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Connection *connection = userdata;
        Apply *apply = connection->apply;
        InjectOutcome outcome;
        int r;

        r = injection_receive(fd, &outcome);
        if (r == -EAGAIN)
                return 0;

        connection->apply = NULL;
        /* After a target that did not stop the injector closes; the next call connects anew. */
        if (r < 0 || (outcome.flags & INJECT_FLAG_HELD))
                connection_close(connection);
        kick(connection->applier);
        if (apply)
                apply_end(apply, r < 0 ? NULL : &outcome, r < 0 ? r : 0);
        return 0;
}

static int connection_open(Connection *connection)
{
        Applier *applier = connection->applier;
        int r;

        r = injection_connect(applier->path, &connection->fd);
        if (r < 0)
                return r;

        r = sd_event_add_io(applier->event, &connection->source, connection->fd, EPOLLIN, on_answer,
                            connection);
        if (r >= 0)
                r = sd_event_source_set_description(connection->source, "injector");
        if (r < 0)
                connection_close(connection);
        return r;
}

/* An injector that was restarted meanwhile has closed an idle connection: once more then. */
static int connection_send(Connection *connection, const InjectRequest *request)
{
        bool fresh = connection->fd < 0;
        int r;

        r = fresh ? connection_open(connection) : 0;
        if (r < 0)
                return r;

        r = injection_send(connection->fd, request);
        if (r == -EPIPE)
                connection_close(connection);
        return r == -EPIPE && !fresh ? connection_send(connection, request) : r;
}

static Apply *queue_take(Applier *applier)
{
        Apply *apply = applier->first;

        if (apply) {
                applier->first = apply->next;
                if (!applier->first)
                        applier->last = &applier->first;
        }
        return apply;
}

/* The first that somebody still wants. */
static Apply *queue_take_wanted(Applier *applier)
{
        Apply *apply;

        while ((apply = queue_take(applier)) && !apply->done)
                free(apply);
        return apply;
}

/* Hands the queue to idle connections. */
static int on_kick(sd_event_source *source, void *userdata)
{
        Applier *applier = userdata;

        for (size_t i = 0; i < APPLY_CONNECTIONS; i++) {
                Connection *connection = &applier->connections[i];
                Apply *apply;
                int r;

                if (connection->apply)
                        continue;
                apply = queue_take_wanted(applier);
                if (!apply)
                        return 0;

                r = connection_send(connection, &apply->request);
                if (r >= 0) {
                        apply->sent = true;
                        connection->apply = apply;
                        continue;
                }
                apply_end(apply, NULL, r);
                return kick(applier); /* the others hear it one by one */
        }
        return 0;
}

int applier_new(sd_event *event, const char *path, Applier **ret_applier)
{
        _cleanup_(applier_freep) Applier *applier = NULL;
        int r;

        applier = calloc(1, sizeof(*applier));
        if (!applier)
                return -ENOMEM;

        applier->event = sd_event_ref(event);
        applier->path = path;
        applier->last = &applier->first;
        for (size_t i = 0; i < APPLY_CONNECTIONS; i++)
                applier->connections[i] = (Connection){ .applier = applier, .fd = -1 };

        r = sd_event_add_defer(event, &applier->kick, on_kick, applier);
        if (r >= 0)
                r = sd_event_source_set_enabled(applier->kick, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(applier->kick, "apply");
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(applier->kick, true);
        if (r < 0)
                return r;

        *ret_applier = TAKE_PTR(applier);
        return 0;
}

Applier *applier_free(Applier *applier)
{
        if (!applier)
                return NULL;

        for (Apply *apply = queue_take(applier); apply; apply = queue_take(applier))
                free(apply);
        for (size_t i = 0; i < APPLY_CONNECTIONS; i++) {
                connection_close(&applier->connections[i]);
                free(applier->connections[i].apply);
        }
        sd_event_source_disable_unref(applier->kick);
        sd_event_unref(applier->event);
        free(applier);
        return NULL;
}

void applier_freep(Applier **applier)
{
        applier_free(*applier);
}

int apply_start(Applier *applier, const InjectRequest *request, apply_done_fn done, void *userdata,
                Apply **ret_apply)
{
        Apply *apply;
        int r;

        apply = calloc(1, sizeof(*apply));
        if (!apply)
                return -ENOMEM;

        *apply = (Apply){ .request = *request, .done = done, .userdata = userdata };
        r = kick(applier);
        if (r < 0) {
                free(apply);
                return r;
        }

        *applier->last = apply;
        applier->last = &apply->next;
        *ret_apply = apply;
        return 0;
}

bool apply_withdraw(Apply *apply)
{
        if (apply->sent)
                return false;

        apply_cancel(apply);
        return true;
}

void apply_cancel(Apply *apply)
{
        if (apply)
                apply->done = NULL;
}
