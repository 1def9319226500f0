#define _GNU_SOURCE
#include "CReceiveBuffer.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

// From <curl/curl.h>, whose ABI is stable: so that no curl headers are needed.
enum { OPTION_BUFFERSIZE = 98, ERROR_FAILED_INIT = 2 };

typedef int set_option(void *handle, int option, ...);

// The argument is a long, a pointer or a curl_off_t, depending on the option.
// All of them are passed alike where they are of one size.
_Static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "an argument of curl_easy_setopt is one register");

static atomic_long replaced;

long creceivebuffer_replaced(void) { return replaced; }

__attribute__((visibility("default"))) int curl_easy_setopt(void *handle, int option, ...)
{
    // Threads that come here at once find the same.
    static set_option *_Atomic libcurls;
    set_option *next = libcurls;
    if (next == NULL) {
        next = (set_option *)dlsym(RTLD_NEXT, "curl_easy_setopt");
        if (next == NULL)
            return ERROR_FAILED_INIT;
        libcurls = next;
    }

    va_list arguments;
    va_start(arguments, option);
    long argument = va_arg(arguments, long);
    va_end(arguments);

    if (option == OPTION_BUFFERSIZE && argument < CRECEIVEBUFFER_SIZE
        && next(handle, option, (long)CRECEIVEBUFFER_SIZE) == 0) {
        replaced = argument;
        return 0;
    }
    return next(handle, option, argument);
}
