// Sets libcurl's options for each request.
//
// Foundation sets its own options with curl_easy_setopt. The shim sets the
// others at curl_multi_add_handle, which is the last step before each request,
// redirects included.
#include <stdarg.h>
#include <stdatomic.h>

#include "CCurlShim.h"
#include "body.h"
#include "certificate.h"
#include "lines.h"
#include "next.h"
#include "peer.h"
#include "transfer.h"
#include "trust.h"

// Written by ccurlshim_prepare between two transfers, read on the session's
// queue during one.
static struct ccurlshim_options wanted;
static atomic_bool is_aborted;
static atomic_long replaced;

long ccurlshim_replaced_buffer_size(void) { return replaced; }

void ccurlshim_prepare(const struct ccurlshim_options *options)
{
    wanted = *options;
    body_limit(options->buffer_size);
    certificate_keep(options->certificate, options->certificate_host);
    peer_ask(options->may_connect);
    atomic_store(&is_aborted, false);
}

void ccurlshim_abort(void) { atomic_store(&is_aborted, true); }

// libcurl calls this periodically, and whenever something happens on a
// connection.
static int on_progress(void *data, long total, long now, long upload_total, long upload_now)
{
    (void)total, (void)now, (void)upload_total, (void)upload_now;
    // Foundation's own callback would only update URLSessionTask.progress,
    // which nothing reads.
    const struct transfer *transfer = data;
    return transfer->write_failed || atomic_load_explicit(&is_aborted, memory_order_relaxed);
}

static int on_connected(void *data, char *peer, char *local, int peer_port, int local_port)
{
    (void)local, (void)local_port;
    struct transfer *transfer = data;
    if (!peer_is_allowed(transfer, peer, peer_port))
        return 1;
    long connections = 0;
    next_functions()->easy_getinfo(transfer->easy, INFO_NUM_CONNECTS, &connections);
    transfer->is_reused = connections == 0;
    transfer->is_connected = true;
    if (wanted.on_connected != NULL)
        wanted.on_connected();
    return atomic_load(&is_aborted);
}

// Keeps the callbacks that Foundation sets, because libcurl calls the shim and
// the shim calls them. Notes whether authorities were set.
static void note_option(easy_handle *easy, int option, long argument)
{
    const bool is_callback = option == OPTION_HEADERFUNCTION || option == OPTION_HEADERDATA
        || option == OPTION_WRITEFUNCTION || option == OPTION_WRITEDATA;
    const bool is_authorities
        = option == OPTION_CAINFO || option == OPTION_CAPATH || option == OPTION_CAINFO_BLOB;
    struct transfer *transfer = is_callback || is_authorities ? transfer_of(easy) : NULL;
    if (transfer == NULL)
        return;
    transfer->has_authorities |= is_authorities;
    switch (option) {
    case OPTION_HEADERFUNCTION: transfer->on_header = (write_function *)argument; break;
    case OPTION_HEADERDATA: transfer->header_data = (void *)argument; break;
    case OPTION_WRITEFUNCTION: transfer->on_write = (write_function *)argument; break;
    case OPTION_WRITEDATA: transfer->write_data = (void *)argument; break;
    }
}

__attribute__((visibility("default"))) int curl_easy_setopt(easy_handle *easy, int option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    long argument = va_arg(arguments, long);
    va_end(arguments);

    note_call(CCURLSHIM_EASY_SETOPT);
    const struct next_functions *next = next_functions();
    if (next->easy_setopt == NULL)
        return ERROR_FAILED_INIT;
    if (next->are_complete)
        note_option(easy, option, argument);
    // Each filling of the receive buffer costs a turn of Foundation's event
    // loop (docs/foundation.md, F16).
    if (option == OPTION_BUFFERSIZE && argument < CCURLSHIM_BUFFER_SIZE
        && next->easy_setopt(easy, option, (long)CCURLSHIM_BUFFER_SIZE) == OK) {
        replaced = argument;
        return OK;
    }
    return next->easy_setopt(easy, option, argument);
}

// An option that this libcurl does not know is left out: each option is an
// improvement by itself.
static void set(easy_handle *easy, int option, long argument)
{
    next_functions()->easy_setopt(easy, option, argument);
}

static void take_over_callbacks(struct transfer *transfer)
{
    easy_handle *easy = transfer->easy;
    set(easy, OPTION_HEADERFUNCTION, (long)lines_receive);
    set(easy, OPTION_HEADERDATA, (long)transfer);
    set(easy, OPTION_WRITEFUNCTION, (long)body_receive);
    set(easy, OPTION_WRITEDATA, (long)transfer);
    set(easy, OPTION_XFERINFOFUNCTION, (long)on_progress);
    set(easy, OPTION_XFERINFODATA, (long)transfer);
    // Foundation turns the progress callback off for each request.
    set(easy, OPTION_NOPROGRESS, 0);
    // A libcurl before 7.80 has no such callback. Then no kept connection is
    // used if the address that it leads to matters.
    if (next_functions()->easy_setopt(easy, OPTION_PREREQFUNCTION, (long)on_connected) != OK
        && wanted.may_connect != NULL)
        set(easy, OPTION_FRESH_CONNECT, 1);
    set(easy, OPTION_PREREQDATA, (long)transfer);
    peer_set_options(transfer);
}

static void set_options(easy_handle *easy)
{
    // The body comes as the server sent it (F25).
    set(easy, OPTION_ACCEPT_ENCODING, 0);
    set(easy, OPTION_HTTP_CONTENT_DECODING, 0);
    // A proxy's answer to CONNECT must not be taken for the response (F23).
    set(easy, OPTION_SUPPRESS_CONNECT_HEADERS, 1);
    // libcurl divides its own limit among the addresses of a name (F29).
    if (wanted.connect_milliseconds > 0)
        set(easy, OPTION_CONNECTTIMEOUT_MS, wanted.connect_milliseconds);
    // This detects a peer that has vanished without closing the connection,
    // also in mid-body.
    set(easy, OPTION_TCP_KEEPALIVE, 1);
    // Another attempt may have to go to another address.
    set(easy, OPTION_DNS_CACHE_TIMEOUT, 0);
    // A pending name lookup does not delay the end of its transfer.
    set(easy, OPTION_QUICK_EXIT, 1);
    // One handle may make several requests, and Foundation sets this option for
    // each of them.
    if (wanted.buffer_size > 0)
        set(easy, OPTION_BUFFERSIZE, wanted.buffer_size);
    // An answer that is not HTTP then comes as a body. body_receive refuses it
    // and keeps its first line for the error message.
    set(easy, OPTION_HTTP09_ALLOWED, 1);
    if (wanted.http1_only)
        set(easy, OPTION_HTTP_VERSION, HTTP_VERSION_1_1);
}

__attribute__((visibility("default"))) int curl_multi_add_handle(multi_handle *multi, easy_handle *easy)
{
    note_call(CCURLSHIM_MULTI_ADD_HANDLE);
    const struct next_functions *next = next_functions();
    struct transfer *transfer = next->are_complete ? transfer_of(easy) : NULL;
    bool is_ours = transfer != NULL && transfer->on_header != NULL && transfer->on_write != NULL;
    // Without the shim's callbacks the egress rules could not be checked.
    if (!is_ours && next->are_complete && wanted.may_connect != NULL)
        return MULTI_OUT_OF_MEMORY;
    if (is_ours) {
        transfer_begin(transfer);
        take_over_callbacks(transfer);
        set_options(easy);
        if (!transfer->has_authorities)
            trust_set(easy);
        if (!certificate_set(easy))
            return MULTI_OUT_OF_MEMORY;
    }
    return next->multi_add_handle(multi, easy);
}

__attribute__((visibility("default"))) void curl_easy_cleanup(easy_handle *easy)
{
    note_call(CCURLSHIM_EASY_CLEANUP);
    const struct next_functions *next = next_functions();
    struct transfer *transfer = NULL;
    if (next->are_complete)
        next->easy_getinfo(easy, INFO_PRIVATE, &transfer);
    next->easy_cleanup(easy);
    if (transfer != NULL)
        transfer_end(transfer);
}
