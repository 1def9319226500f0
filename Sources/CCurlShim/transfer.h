// The state of one easy handle of Foundation, kept in CURLOPT_PRIVATE, which
// Foundation does not use.
//
// Everything about a handle happens on the one serial queue that all sessions
// of a process share (FactsTests, F4), so there are no locks.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "head.h"
#include "libcurl.h"

struct transfer {
    easy_handle *easy;
    // The callbacks that Foundation has set, and their arguments.
    write_function *on_header, *on_write;
    void *header_data, *write_data;

    // Its authorities were set by Foundation or by a preloaded library, and must
    // stay.
    bool has_authorities;

    // The head of the response to the current request.
    struct head head;
    // The final head is complete; lines that follow are trailers.
    bool has_head;
    bool is_malformed;
    // The response is a redirect, so its body is dropped.
    bool is_redirect;
    // Bytes of the body that have come.
    size_t received;
    // The length of the body if libcurl does not know it and would wait for
    // more; -1 if libcurl knows the end.
    long ends_at;
    // The shim has broken the transfer off after everything that counts had
    // come.
    bool was_cut;
    // Foundation has refused the gathered bytes.
    bool write_failed;
    // The state of the connection: the first two are set when the request is
    // about to be sent, `peer` is set when it is over.
    bool is_connected;
    bool is_reused;
    char peer[46];
    // Whether an address was denied (peer.h); `denied` is the first one. And
    // whether a connection to another address was tried, in which case the
    // failure of that connection counts.
    bool was_denied, was_tried;
    unsigned char denied[16];
    int denied_port;
    // Set when the request is over.
    int result, os_error, connect_status, http_version;
    // libcurl keeps the connection for the next request: the transfer did not
    // end with the connection.
    bool is_kept;
};

// The state of a handle; NULL if there is no memory for it.
struct transfer *transfer_of(easy_handle *easy);

// Whether the current request has no connection yet.
bool transfer_is_connecting(void);

// The handle whose request began last; NULL if there is none, or it has been
// freed.
struct transfer *transfer_current(void);

// Begins a request: resets the state of the previous one.
void transfer_begin(struct transfer *transfer);

// Frees the state.
void transfer_end(struct transfer *transfer);

// Notes how the request ended.
void transfer_note_result(struct transfer *transfer, int result);
