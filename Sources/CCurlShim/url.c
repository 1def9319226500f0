// Makes Foundation accept IPv6 literals (docs/foundation.md, F26).
//
// Foundation compares its own host of a URL with libcurl's, and gives up if
// they differ. libcurl keeps the brackets of an IPv6 literal, Foundation
// removes them.
//
// Upstream: CFURLSessionCurlHostIsEqual in CFURLSessionInterface.c.  It can go
// when FactsTests F13 fetches http://[::1]/.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include "CCurlShim.h"
#include "next.h"

// libcurl calls the function as well, and makes the field Host from its result,
// which must keep the brackets.
static bool is_in_libcurl(const void *code)
{
    Dl_info here, libcurl;
    return dladdr(code, &here) != 0 && dladdr((const void *)next_functions()->url_get, &libcurl) != 0
        && here.dli_fbase == libcurl.dli_fbase;
}

__attribute__((visibility("default"))) int curl_url_get(void *url, int part, char **text, unsigned flags)
{
    note_call(CCURLSHIM_URL_GET);
    const struct next_functions *next = next_functions();
    if (next->url_get == NULL)
        return ERROR_FAILED_INIT;
    int result = next->url_get(url, part, text, flags);
    if (result != OK || part != URL_PART_HOST || *text == NULL || (*text)[0] != '['
        || is_in_libcurl(__builtin_return_address(0)))
        return result;
    size_t length = strlen(*text);
    if (length > 2 && (*text)[length - 1] == ']') {
        memmove(*text, *text + 1, length - 2);
        (*text)[length - 2] = '\0';
    }
    return result;
}
