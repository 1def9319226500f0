// What is kept for one easy handle of Foundation's, on CURLOPT_PRIVATE, which
// Foundation leaves free.
//
// Everything about a handle happens on the one serial queue that all sessions
// of a process share (F4), so there are no locks.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "head.h"
#include "libcurl.h"

struct transfer {
    easy_handle *easy;
    // What Foundation has set.
    write_function *on_header, *on_write;
    void *header_data, *write_data;

    // Of the request that the handle makes now.
    struct head head;
    // Its final head is complete; what follows of lines are trailers.
    bool has_head;
    bool is_malformed;
    // The response leads elsewhere, and nothing of its body is of interest.
    bool is_redirect;
    // Bytes of the body that have come.
    size_t received;
    // The body has so many bytes, and libcurl would wait for more; -1 where
    // libcurl knows its end.
    long ends_at;
    // The transfer was broken off here, after all that counts had come.
    bool was_cut;
    // Foundation has refused what was gathered for it.
    bool write_failed;
    // Of the connection, from the moment at which the request was sent.
    bool is_connected;
    bool is_reused;
    char peer[46];
    // An address, the first of them, that no connection may be made to (peer.h); and whether a connection to another one was tried, in which
    // case it is that one's failure that counts.
    bool was_denied, was_tried;
    unsigned char denied[16];
    int denied_port;
    // Once it is over.
    int result, os_error, connect_status, http_version;
    // libcurl keeps its connection for the next one: what ended the transfer
    // was not the connection's end.
    bool is_kept;
};

// The state of a handle; NULL where there is no memory for one.
struct transfer *transfer_of(easy_handle *easy);

// Whether a request has been begun that has no connection yet.
bool transfer_is_connecting(void);

// The handle whose request was last begun; NULL where there is none, or it has
// been freed.
struct transfer *transfer_current(void);

// Forgets the request before.
void transfer_begin(struct transfer *transfer);

// Frees the state.
void transfer_end(struct transfer *transfer);

// Notes how the request ended.
void transfer_note_result(struct transfer *transfer, int result);
