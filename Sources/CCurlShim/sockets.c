// Ends a watch that libcurl no longer wants (docs/foundation.md, F21).
//
// When the events that libcurl wants change from "readable or writable" to
// "readable", or from "writable" to "readable", Foundation adds the new source
// and keeps the old one. A connected socket is always writable, so Foundation's
// loop turns without a pause while the origin is silent. Foundation ends
// sources only when a socket is removed. The shim therefore reports a removal
// first, and then the events that are wanted now.
//
// Upstream: _SocketSources.createSources in MultiHandle.swift. It can go when
// that function cancels the source of an event that is no longer wanted; the
// test F21 of FactsTests then fails.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "CCurlShim.h"
#include "next.h"

// Descriptors from this number on are passed on unchanged. A lane has 256
// (Lane.swift).
enum { DESCRIPTORS = 1024 };

// There is one for each multi handle. A process makes a multi handle for each
// of its few sessions, and keeps it.
struct watcher {
    struct watcher *following;
    multi_handle *multi;
    socket_function *callback;
    void *data;
    // The events that were last wanted for each descriptor.
    unsigned char events[DESCRIPTORS];
};

// Changed when a session is made; otherwise used on the session's queue only.
static struct watcher *watchers;

// The sockets that libcurl has ever had watched, open or not. A lane checks its
// kept connections before each job, and there are few. The session's queue adds
// to the list during a transfer; the lane's thread reads and shortens it
// between two transfers.
enum { REMEMBERED = 64 };
static int remembered[REMEMBERED];
static int remembered_count;
// True if there were more sockets than that, so the list is incomplete.
static bool has_overflown;

static void remember(int descriptor)
{
    for (int i = 0; i < remembered_count; i++)
        if (remembered[i] == descriptor)
            return;
    if (remembered_count == REMEMBERED)
        has_overflown = true;
    else
        remembered[remembered_count++] = descriptor;
}

int ccurlshim_sockets(int *descriptors, int size)
{
    if (has_overflown || remembered_count > size || watchers == NULL)
        return -1;
    memcpy(descriptors, remembered, (size_t)remembered_count * sizeof *descriptors);
    return remembered_count;
}

void ccurlshim_forget_socket(int descriptor)
{
    for (int i = 0; i < remembered_count; i++)
        if (remembered[i] == descriptor)
            remembered[i--] = remembered[--remembered_count];
}

static struct watcher *watcher_of(multi_handle *multi)
{
    for (struct watcher *watcher = watchers; watcher != NULL; watcher = watcher->following)
        if (watcher->multi == multi)
            return watcher;
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL)
        return NULL;
    watcher->multi = multi;
    watcher->following = watchers;
    watchers = watcher;
    return watcher;
}

static int on_socket(easy_handle *easy, int descriptor, int events, void *data, void *assigned)
{
    struct watcher *watcher = data;
    if (events != POLL_REMOVE)
        remember(descriptor);
    if (descriptor < 0 || descriptor >= DESCRIPTORS)
        return watcher->callback(easy, descriptor, events, watcher->data, assigned);
    unsigned char before = watcher->events[descriptor];
    watcher->events[descriptor] = events == POLL_REMOVE ? POLL_NOTHING : (unsigned char)events;
    if (events != POLL_REMOVE && (before & ~events & (POLL_INPUT | POLL_OUTPUT)) != 0) {
        watcher->callback(easy, descriptor, POLL_REMOVE, watcher->data, assigned);
        // Foundation has freed `assigned`, and libcurl would pass it again.
        next_functions()->multi_assign(watcher->multi, descriptor, NULL);
        assigned = NULL;
    }
    return watcher->callback(easy, descriptor, events, watcher->data, assigned);
}

__attribute__((visibility("default"))) int curl_multi_setopt(multi_handle *multi, int option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    long argument = va_arg(arguments, long);
    va_end(arguments);

    note_call(CCURLSHIM_MULTI_SETOPT);
    const struct next_functions *next = next_functions();
    if (next->multi_setopt == NULL)
        return ERROR_FAILED_INIT;
    struct watcher *watcher = NULL;
    if (next->are_complete && (option == MULTI_OPTION_SOCKETDATA || option == MULTI_OPTION_SOCKETFUNCTION))
        watcher = watcher_of(multi);
    if (watcher == NULL)
        return next->multi_setopt(multi, option, argument);
    if (option == MULTI_OPTION_SOCKETDATA) {
        watcher->data = (void *)argument;
        return next->multi_setopt(multi, option, watcher);
    }
    watcher->callback = (socket_function *)argument;
    // The data must be set before libcurl can call the function, whichever of
    // the two Foundation sets first.
    next->multi_setopt(multi, MULTI_OPTION_SOCKETDATA, watcher);
    return next->multi_setopt(multi, option, argument != 0 ? (long)on_socket : 0L);
}
