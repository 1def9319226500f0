// The part of libcurl's ABI that is used here, from <curl/curl.h> and
// <curl/multi.h>.  It has been stable since 7.16 (libcurl-symbols(3)), so that
// no curl headers are needed to build.
#pragma once

#include <stddef.h>
#include <sys/socket.h>

typedef struct easy_handle easy_handle;
typedef struct multi_handle multi_handle;

// The argument of an option is a long, a pointer or a curl_off_t. All of them
// are passed in the same way if they have the same size.
_Static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "an argument of curl_easy_setopt is one register");

enum {
    OK = 0,
    ERROR_FAILED_INIT = 2,
    ERROR_HTTP2 = 16,
    ERROR_PARTIAL_FILE = 18,
    ERROR_WRITE = 23,
    ERROR_GOT_NOTHING = 52,
    ERROR_RECEIVE = 56,
    ERROR_HTTP2_STREAM = 92,
};

// CURLoption: numbers below 10000 take a long, 10000 a pointer, 20000 a
// function.
enum {
    OPTION_NOPROGRESS = 43,
    OPTION_FRESH_CONNECT = 74,
    OPTION_HTTP_VERSION = 84,
    OPTION_DNS_CACHE_TIMEOUT = 92,
    OPTION_BUFFERSIZE = 98,
    OPTION_CONNECTTIMEOUT_MS = 156,
    OPTION_HTTP_CONTENT_DECODING = 158,
    OPTION_TCP_KEEPALIVE = 213,
    OPTION_SUPPRESS_CONNECT_HEADERS = 265,
    OPTION_HTTP09_ALLOWED = 285,
    OPTION_QUICK_EXIT = 322,
    OPTION_WRITEDATA = 10001,
    OPTION_HEADERDATA = 10029,
    OPTION_XFERINFODATA = 10057,
    OPTION_CAINFO = 10065,
    OPTION_CAPATH = 10097,
    OPTION_ACCEPT_ENCODING = 10102,
    OPTION_PRIVATE = 10103,
    OPTION_OPENSOCKETDATA = 10164,
    OPTION_PREREQDATA = 10313,
    OPTION_WRITEFUNCTION = 20011,
    OPTION_HEADERFUNCTION = 20079,
    OPTION_SSL_CTX_FUNCTION = 20108,
    OPTION_OPENSOCKETFUNCTION = 20163,
    OPTION_XFERINFOFUNCTION = 20219,
    OPTION_PREREQFUNCTION = 20312,
    OPTION_SSLCERT_BLOB = 40291,
    OPTION_SSLKEY_BLOB = 40292,
    OPTION_CAINFO_BLOB = 40309,
};

// struct curl_blob: CURL_BLOB_COPY has libcurl make a copy.
enum { BLOB_COPY = 1 };
struct blob {
    void *data;
    size_t length;
    unsigned flags;
};

enum { HTTP_VERSION_1_1 = 2 };

// CURLMoption.
enum { MULTI_OPTION_SOCKETDATA = 10002, MULTI_OPTION_SOCKETFUNCTION = 20001 };

// CURLINFO.
enum {
    INFO_EFFECTIVE_URL = 0x100000 + 1,
    INFO_PRIVATE = 0x100000 + 21,
    INFO_PRIMARY_IP = 0x100000 + 32,
    INFO_CAINFO = 0x100000 + 61,
    INFO_CAPATH = 0x100000 + 62,
    INFO_HTTP_CONNECTCODE = 0x200000 + 22,
    INFO_OS_ERRNO = 0x200000 + 25,
    INFO_NUM_CONNECTS = 0x200000 + 26,
    INFO_HTTP_VERSION = 0x200000 + 46,
    INFO_CONTENT_LENGTH_DOWNLOAD = 0x300000 + 15,
    INFO_ACTIVESOCKET = 0x500000 + 44,
    INFO_CONTENT_LENGTH_DOWNLOAD_T = 0x600000 + 15,
};

// CURL_POLL_*, the events that libcurl wants to be told about.
enum { POLL_NOTHING = 0, POLL_INPUT = 1, POLL_OUTPUT = 2, POLL_REMOVE = 4 };

// CURLMcode.
enum { MULTI_OUT_OF_MEMORY = 3 };

// CURL_SOCKET_TIMEOUT and CURL_SOCKET_BAD.
enum { NO_SOCKET = -1 };

// CURLUPART_HOST.
enum { URL_PART_HOST = 5 };

// CURLMSG_DONE.
enum { MESSAGE_DONE = 1 };

// struct CURLMsg.
struct multi_message {
    int kind;
    easy_handle *easy;
    union {
        void *whatever;
        int result;
    } data;
};

// struct curl_sockaddr: an address of a name, before a socket is made for it.
// The address has as many bytes as `length` says.
struct socket_address {
    int family;
    int type;
    int protocol;
    unsigned length;
    struct sockaddr address;
};

typedef size_t write_function(char *bytes, size_t size, size_t count, void *data);
typedef int socket_function(easy_handle *, int descriptor, int events, void *data, void *assigned);
