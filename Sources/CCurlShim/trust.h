// The certificates of the authorities, which an origin's certificate is checked
// with.
#pragma once

#include "libcurl.h"

// Reads those that libcurl uses by default. Starts no thread.
void trust_warm(void);

// Gives a request over TLS those that libcurl would read for it. If that is not
// possible, all is left to libcurl.
void trust_set(easy_handle *easy);
