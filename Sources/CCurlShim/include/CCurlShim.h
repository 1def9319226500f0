// Corrects defects of URLSession between Foundation and libcurl.
//
// Foundation calls the libcurl functions that the linker finds first. If
// Foundation is linked statically, those are the ones in the program; if it is
// a shared library, only ones that the program exports (Package.swift). This
// target therefore has functions of the same names. Each of them calls
// libcurl's own function and corrects one thing. URLSession still makes every
// request and delivers every byte. docs/foundation.md lists the defects.
//
// If the functions do not take effect, or libcurl lacks one of them, nothing is
// corrected at all, and the lane behaves as URLSession does. `sluice-lane
// --check-shim` reports that.
//
// Unless stated otherwise, call a function on the session's thread, in a
// callback of URLSession.
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

// Does what libcurl and OpenSSL do at their first use. Starts no thread.
void ccurlshim_warm(void);

// The receive buffer that libcurl gets, in bytes. libcurl's own limit is twice
// that (7.88). It would not be faster, because different threads receive and
// write a large body, and it would need twice the memory in a stalled lane.
enum { CCURLSHIM_BUFFER_SIZE = 256 << 10 };

// The buffer size that Foundation asked for and that the shim replaced by a
// larger one, in bytes; 0 if it has not replaced one.
long ccurlshim_replaced_buffer_size(void);

// The options for the requests of the next transfer.
struct ccurlshim_options {
    // The limit for the name lookup, the connection and the TLS handshake; 0
    // for libcurl's own limit.
    long connect_milliseconds;
    bool http1_only;
    // The largest piece of a body, in bytes: 1024 to CCURLSHIM_BUFFER_SIZE; 0
    // for the latter.
    long buffer_size;
    // Called on the session's thread each time that a connection is ready,
    // before a request is sent on it. May be NULL.
    void (*on_connected)(void);
    // Called on the session's thread before each connection is made, with the
    // address that it would lead to, and before each request is sent, with the
    // address of its peer: an IPv6 address or an IPv4-mapped one, in network
    // order. If it returns false, libcurl tries the next address of the name,
    // or the request fails. NULL allows everything.
    bool (*may_connect)(const unsigned char address[16], int port);
    // A client certificate, its chain and its key, in PEM, for servers of this
    // host that ask for one over TLS. Both strings are copied. No other host
    // gets the certificate. NULL for none.
    const char *certificate;
    const char *certificate_host;
};

// Sets the options of the next transfer, and cancels an abort. Call it on any
// thread, but not during a transfer.
void ccurlshim_prepare(const struct ccurlshim_options *options);

// Whether Foundation calls the shim, so that the options take effect. This is
// known once there is a session. Any thread.
bool ccurlshim_is_effective(void);

// Ends the current transfer, and those to its redirects, as soon as libcurl
// next calls back. Any thread.
void ccurlshim_abort(void);

// Copies the sockets that libcurl has had watched so far. Those of kept
// connections are among them, and also descriptors that have been closed or
// belong to something else by now. Returns their number; -1 if the sockets are
// unknown or do not fit. Any thread, but not during a transfer.
int ccurlshim_sockets(int *descriptors, int size);

// Removes a descriptor from them that is no longer a connection. Any thread,
// but not during a transfer.
void ccurlshim_forget_socket(int descriptor);

// Whether the head of a final response has come, for ccurlshim_field.
bool ccurlshim_has_head(void);

// The status of that response, as it came; 0 if there is none.
int ccurlshim_status(void);

// Bytes that belong to the shim, valid until the callback returns.
struct ccurlshim_text {
    const char *bytes;
    size_t length;
};

// The value of the number-th field of this name, from 0 on: as it came, but
// without blanks around it and with a blank for each fold. NULL if there are
// fewer.
struct ccurlshim_text ccurlshim_field(const char *name, size_t number);

// The state of the last request, or how it ended.
struct ccurlshim_result {
    // CURLcode; -1 before the end.
    int code;
    // The errno of the last system call that failed.
    int os_error;
    // The status of a proxy's answer to CONNECT; 0 if there was none.
    int connect_status;
    bool is_http2;
    // There was a connection, and the request was sent or about to be sent.
    bool is_connected;
    // The connection had been used before.
    bool is_reused;
    // libcurl keeps the connection for the next request, after the end of this
    // one.
    bool is_kept;
    // The address of the connection, or the one tried last; a proxy's if there
    // is one.
    char peer[46];
    // There was no connection, because may_connect allowed none; `denied` is
    // the first address that it denied.
    bool is_denied;
    unsigned char denied[16];
    int denied_port;
    // The beginning of a header line that could not be parsed, or NULL; valid
    // until the callback returns.
    const unsigned char *offending;
    size_t offending_length;
};

// Returns false if no request has been made through the shim.
bool ccurlshim_result(struct ccurlshim_result *result);
