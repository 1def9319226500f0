// The certificate that the service shows, for one host.
#pragma once

#include <stdbool.h>

#include "libcurl.h"

// Keeps a copy for the next transfers, and wipes the one before. NULL for none.
void certificate_keep(const char *text, const char *host);

// Gives it to a transfer that goes to its host, over TLS; false where it cannot
// be given.
bool certificate_set(easy_handle *easy);
