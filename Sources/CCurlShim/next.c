#define _GNU_SOURCE
#include "next.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#include "CCurlShim.h"

static struct next_functions functions;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint calls;

static void look_up(void)
{
    bool is_complete = true;
    // Foundation is linked against libcurl, so RTLD_NEXT finds libcurl's
    // functions.
#define FIND(member, symbol) \
    is_complete &= (*(void **)&functions.member = dlsym(RTLD_NEXT, symbol)) != NULL
    FIND(easy_setopt, "curl_easy_setopt");
    FIND(easy_getinfo, "curl_easy_getinfo");
    FIND(easy_cleanup, "curl_easy_cleanup");
    FIND(multi_setopt, "curl_multi_setopt");
    FIND(multi_assign, "curl_multi_assign");
    FIND(multi_add_handle, "curl_multi_add_handle");
    FIND(multi_socket_action, "curl_multi_socket_action");
    FIND(multi_info_read, "curl_multi_info_read");
    FIND(url_get, "curl_url_get");
#undef FIND
    *(void **)&functions.multi_socket_all = dlsym(RTLD_NEXT, "curl_multi_socket_all");
    functions.are_complete = is_complete;
}

const struct next_functions *next_functions(void)
{
    pthread_once(&once, look_up);
    return &functions;
}

void note_call(unsigned bit) { atomic_fetch_or_explicit(&calls, bit, memory_order_relaxed); }

bool ccurlshim_is_effective(void)
{
    // Foundation calls curl_multi_setopt when it makes a session.
    return next_functions()->are_complete && (ccurlshim_calls() & CCURLSHIM_MULTI_SETOPT) != 0;
}

unsigned ccurlshim_calls(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }
