// The certificate that the service shows, for one host.
#pragma once

#include <stdbool.h>

#include "libcurl.h"

// Keeps a copy for the next transfers, and wipes the previous one. NULL for
// none.
void certificate_keep(const char *text, const char *host);

// Gives the certificate to a transfer that goes to its host, over TLS. Returns
// false if libcurl does not accept it.
bool certificate_set(easy_handle *easy);
