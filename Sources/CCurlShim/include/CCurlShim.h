// Corrects, between Foundation's URLSession and libcurl, what URLSession gets
// wrong.
//
// Foundation calls the libcurl functions that the linker finds first.  Where
// Foundation is linked statically, those are the ones in the program; where it
// is a library, only ones that the program exports (Package.swift).  So this
// target has functions of the same names.  Each passes everything on to
// libcurl's own, and corrects one thing on the way; URLSession still makes
// every request and delivers every byte.  docs/foundation.md lists the defects.
//
// Where the functions do not take effect, or libcurl lacks one of them, nothing
// is corrected at all, and the lane behaves as URLSession does; `sluice-lane
// --check-shim` tells.
//
// Where nothing else is said, a function is for the session's thread, in a
// callback of URLSession's.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The functions that Foundation has called here, as bits.
enum {
    CCURLSHIM_EASY_SETOPT = 1 << 0,
    CCURLSHIM_EASY_GETINFO = 1 << 1,
    CCURLSHIM_EASY_CLEANUP = 1 << 2,
    CCURLSHIM_MULTI_SETOPT = 1 << 3,
    CCURLSHIM_MULTI_ADD_HANDLE = 1 << 4,
    CCURLSHIM_MULTI_SOCKET_ACTION = 1 << 5,
    CCURLSHIM_MULTI_INFO_READ = 1 << 6,
    CCURLSHIM_URL_GET = 1 << 7,
};
unsigned ccurlshim_calls(void);

// The receive buffer that libcurl gets, in bytes.  Its own limit is twice as
// much (7.88), which is no faster where a large body is written by another
// thread than receives it, and keeps that much more memory in a stalled lane.
enum { CCURLSHIM_BUFFER_SIZE = 256 << 10 };

// The size that Foundation asked for and that libcurl got a larger one instead
// of, in bytes; 0 where that has not happened.
long ccurlshim_replaced_buffer_size(void);

// What the requests of the next transfer are made with.
struct ccurlshim_options {
    // For the name, the connection and the TLS handshake; 0 for libcurl's own
    // limit.
    long connect_milliseconds;
    bool http1_only;
    // How much of a body comes at a time, in bytes: 1024 to
    // CCURLSHIM_BUFFER_SIZE; 0 for that.
    long buffer_size;
    // Called each time that a connection is there, before a request is sent on
    // it; on the session's thread.  May be NULL.
    void (*on_connected)(void);
    // Asked before each connection is made, with the address that it would go
    // to, and before each request is sent, with the address of its peer: an IPv6
    // address or an IPv4-mapped one, in network order. Where it says no, the
    // next address of the name is tried, or the request fails. On the session's
    // thread. NULL allows everything.
    bool (*may_connect)(const unsigned char address[16], int port);
    // For servers of this host, over TLS, that ask for one: a certificate, what
    // it is signed by, and its key, in PEM. Both are copied, and no other host is
    // shown it. NULL for none.
    const char *certificate;
    const char *certificate_host;
};

// Sets the options of the next transfer, and forgets an abort.  Call it on any
// thread while no transfer is under way.
void ccurlshim_prepare(const struct ccurlshim_options *options);

// Whether Foundation's calls come by here, so that what is set takes effect.
// Known once there is a session.
bool ccurlshim_is_effective(void);

// Makes the transfer that is under way, and what it is redirected to, end as
// soon as libcurl next looks at it.  Any thread.
void ccurlshim_abort(void);

// The sockets that libcurl has had watched so far: those of kept connections are
// among them, and numbers that have been closed or given to something else.
// Returns how many; -1 where that is not known, or does not fit.  Not while a
// transfer is under way.
int ccurlshim_sockets(int *descriptors, int size);

// Takes a number out of them that is no connection's any more.
void ccurlshim_forget_socket(int descriptor);

// Whether the head of a final response is there, for ccurlshim_field.
bool ccurlshim_has_head(void);

// The status of that response, as it came; 0 where there is none.
int ccurlshim_status(void);

// Bytes that belong to the shim, good until the callback returns.
struct ccurlshim_text {
    const char *bytes;
    size_t length;
};

// The value of the number-th field of this name, from 0 on: as it came, but for
// blanks around it and folds, which are a blank each.  NULL where there are not
// so many.
struct ccurlshim_text ccurlshim_field(const char *name, size_t number);

// How the last request stands, or ended.
struct ccurlshim_result {
    // CURLcode; -1 before the end.
    int code;
    // Of the last system call that failed.
    int os_error;
    // Of a proxy's answer to CONNECT; 0 where there was none.
    int connect_status;
    bool is_http2;
    // A connection was there, and the request was sent or about to be.
    bool is_connected;
    // It had been there before.
    bool is_reused;
    // libcurl keeps it for the next request, after the end of this one.
    bool is_kept;
    // The address that was connected to, or tried last; a proxy's where there
    // is one.
    char peer[46];
    // It came to no connection because may_connect allowed none, and this is
    // the first of the addresses that it was asked about.
    bool is_denied;
    unsigned char denied[16];
    int denied_port;
    // The beginning of a header line that could not be understood, or NULL;
    // good until the callback returns.
    const unsigned char *offending;
    size_t offending_length;
};

// False where no request has been made through the shim.
bool ccurlshim_result(struct ccurlshim_result *result);
