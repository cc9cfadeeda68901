/* SPDX-License-Identifier: MIT */
/*
 * Events that a unit of work collects: copies, in order, until the commit writes them.
 *
 * A copy is one piece of memory: the event, and behind it its texts and its payload.
 */
#include <string.h>

#include "sql/base/memory.h"
#include "sql/htt_event.h"
#include "sql/uow/uow.h"

struct htt_uow_event_copy {
    htt_uow_event_copy *next; /* in order */
    htt_event event;          /* all that it points to stands behind it */
};

/* The texts of an event, so that each is measured and copied in the same way. */
enum { EVENT_TEXTS = 7 };
static const char **events_text(htt_event *event, int i) {
    const char **const texts[EVENT_TEXTS] = {
        &event->id,           &event->aggregate_type, &event->aggregate_id,    &event->type,
        &event->content_type, &event->headers,        &event->idempotency_key,
    };
    return texts[i];
}

static htt_uow_event_copy *events_copy(const htt_event *event) {
    htt_event shallow = *event;
    size_t size = event->payload.size;
    for (int i = 0; i < EVENT_TEXTS; i++) {
        const char *const text = *events_text(&shallow, i);
        size += text == NULL ? 0 : strlen(text) + 1;
    }
    htt_uow_event_copy *const copy = htt_memory_new(sizeof *copy + size);
    if (copy == NULL) {
        return NULL;
    }
    char *out = (char *)(copy + 1);
    copy->event = shallow;
    for (int i = 0; i < EVENT_TEXTS; i++) {
        const char **const text = events_text(&copy->event, i);
        if (*text != NULL) {
            const size_t length = strlen(*text) + 1;
            memcpy(out, *text, length);
            *text = out;
            out += length;
        }
    }
    if (event->payload.size > 0) {
        memcpy(out, event->payload.data, event->payload.size);
        copy->event.payload.data = out;
    }
    return copy;
}

htt_rc htt_uow_events_add(htt_db *db, htt_uow_events *events, const htt_event *event) {
    if (event == NULL || (event->payload.size > 0 && event->payload.data == NULL)) {
        return htt_db_fail(db, HTT_MISUSE, "the event %s",
                           event == NULL ? "is NULL" : "has a payload with a size and no bytes");
    }
    htt_uow_event_copy *const copy = events_copy(event);
    if (copy == NULL) {
        return htt_db_fail_memory(db);
    }
    if (events->last == NULL) {
        events->first = copy;
    } else {
        events->last->next = copy;
    }
    events->last = copy;
    return HTT_OK;
}

void htt_uow_events_move(htt_uow_events *events, htt_uow_events *to) {
    if (events->first == NULL) {
        return;
    }
    if (to->last == NULL) {
        to->first = events->first;
    } else {
        to->last->next = events->first;
    }
    to->last = events->last;
    *events = (htt_uow_events){NULL, NULL};
}

htt_rc htt_uow_events_write(htt_db *db, htt_uow_events *events) {
    htt_scope scope;
    if (events->first == NULL) {
        return HTT_OK;
    }
    htt_rc rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_uow_event_copy *copy = events->first; copy != NULL && rc == HTT_OK;
         copy = copy->next) {
        rc = htt_event_append(db, &copy->event, NULL);
    }
    rc = htt_scope_leave(db, &scope, rc);
    if (rc == HTT_OK) {
        htt_uow_events_clear(events);
    }
    return rc;
}

void htt_uow_events_clear(htt_uow_events *events) {
    while (events->first != NULL) {
        htt_uow_event_copy *const copy = events->first;
        events->first = copy->next;
        htt_memory_free(copy);
    }
    events->last = NULL;
}
