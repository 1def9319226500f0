// Client certificates: Foundation has no way to name one on Linux (it never
// asks its delegate), so the shim passes it to libcurl directly.
#define _GNU_SOURCE
#include "certificate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "next.h"

// Global to the process, without a lock: certificate_keep runs between two
// transfers, certificate_set on the session's queue at the beginning of one.
static char *kept;
static size_t kept_length;
static char *kept_host;

void certificate_keep(const char *text, const char *host)
{
    if (kept != NULL)
        explicit_bzero(kept, kept_length);
    free(kept);
    free(kept_host);
    bool is_wanted = text != NULL && host != NULL;
    kept = is_wanted ? strdup(text) : NULL;
    kept_host = is_wanted ? strdup(host) : NULL;
    kept_length = kept != NULL ? strlen(kept) : 0;
}

// The lane has made the URL, so no user name stands before its host.
static bool is_for(const char *url)
{
    static const char scheme[] = "https://";
    if (url == NULL || kept_host == NULL || strncasecmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *host = url + sizeof scheme - 1;
    size_t length = strlen(kept_host);
    return strncasecmp(host, kept_host, length) == 0 && strchr(":/?#", host[length]) != NULL;
}

bool certificate_set(easy_handle *easy)
{
    const struct next_functions *next = next_functions();
    const char *url = NULL;
    if (kept == NULL || next->easy_getinfo(easy, INFO_EFFECTIVE_URL, &url) != OK || !is_for(url)) {
        // A handle that is used again may still have the certificate. A libcurl
        // that lacks the options cannot have one.
        next->easy_setopt(easy, OPTION_SSLCERT_BLOB, NULL);
        next->easy_setopt(easy, OPTION_SSLKEY_BLOB, NULL);
        return true;
    }
    struct blob blob = { .data = kept, .length = kept_length, .flags = BLOB_COPY };
    return next->easy_setopt(easy, OPTION_SSLCERT_BLOB, &blob) == OK
        && next->easy_setopt(easy, OPTION_SSLKEY_BLOB, &blob) == OK;
}
