// libcurl's own functions, which stand behind those of the same name here.
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
    // NULL in a libcurl that has dropped it: it is deprecated.
    int (*multi_socket_all)(multi_handle *, int *running);
    // All the others have been found.  Where one is missing nothing is corrected.
    bool are_complete;
};

// Looks them up at the first call.  Any thread.
const struct next_functions *next_functions(void);

// Records that Foundation has called the function with this CCURLSHIM_ bit.
void note_call(unsigned bit);
