// libcurl's own functions, which the functions of the same names here call.
#pragma once

#include <stdbool.h>

#include "libcurl.h"

struct next_functions {
    int (*easy_setopt)(easy_handle *, int option, ...);
    int (*easy_getinfo)(easy_handle *, int info, ...);
    void (*easy_cleanup)(easy_handle *);
    int (*multi_setopt)(multi_handle *, int option, ...);
    int (*multi_assign)(multi_handle *, int descriptor, void *assigned);
    int (*multi_add_handle)(multi_handle *, easy_handle *);
    int (*multi_socket_action)(multi_handle *, int descriptor, int events, int *running);
    struct multi_message *(*multi_info_read)(multi_handle *, int *left);
    int (*url_get)(void *url, int part, char **text, unsigned flags);
    // NULL if this libcurl does not have it: the function is deprecated.
    int (*multi_socket_all)(multi_handle *, int *running);
    // True if all the others have been found. If one is missing, nothing is
    // corrected.
    bool are_complete;
};

// Looks them up at the first call. May be called on any thread.
const struct next_functions *next_functions(void);

// Records that Foundation has called the function with this CCURLSHIM_ bit.
void note_call(unsigned bit);
