// Header lines on their way from libcurl to Foundation.
#pragma once

#include <stddef.h>

// libcurl's CURLOPT_HEADERFUNCTION.
size_t lines_receive(char *bytes, size_t size, size_t count, void *transfer);
