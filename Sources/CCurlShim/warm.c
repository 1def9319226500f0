// What libcurl and OpenSSL do at their first use, done before it: in a process with one thread, whose children share the
// result.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#include "CCurlShim.h"
#include "next.h"
#include "trust.h"

enum { CURL_ALL = 3 };  // CURL_GLOBAL_ALL

void ccurlshim_warm(void)
{
    int (*global_init)(long) = NULL;
    *(void **)&global_init = dlsym(RTLD_DEFAULT, "curl_global_init");
    next_functions();
    // Foundation calls it as well; only the first call does something.
    if (global_init != NULL)
        global_init(CURL_ALL);
    trust_warm();
}
