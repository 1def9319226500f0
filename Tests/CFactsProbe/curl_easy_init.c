// FoundationNetworking on Linux has no setting for a CA, and libcurl's default
// is compiled in.  But it calls the curl_easy_init that the dynamic linker
// finds first, which is this one if the executable exports it
// (--export-dynamic); and it keeps a CURLOPT_CAINFO that is already set.
#define _GNU_SOURCE
#include "CFactsProbe.h"

#include <dlfcn.h>
#include <stddef.h>

// From <curl/curl.h>, whose ABI is stable: so that no curl headers are needed.
enum { OPTION_CAINFO = 10065, OPTION_CAPATH = 10097 };

static const char *ca_file;

void cfactsprobe_set_ca_file(const char *path) { ca_file = path; }

__attribute__((visibility("default"))) void *curl_easy_init(void)
{
    void *(*next)(void) = (void *(*)(void))dlsym(RTLD_NEXT, "curl_easy_init");
    int (*set_option)(void *, int, ...) = (int (*)(void *, int, ...))dlsym(RTLD_NEXT, "curl_easy_setopt");
    void *handle = next ? next() : NULL;
    if (handle && set_option && ca_file) {
        set_option(handle, OPTION_CAINFO, ca_file);
        set_option(handle, OPTION_CAPATH, NULL);
    }
    return handle;
}
