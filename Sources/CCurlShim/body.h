// Body bytes on their way from libcurl to Foundation.
#pragma once

#include <stddef.h>

struct transfer;

// libcurl's CURLOPT_WRITEFUNCTION.
size_t body_receive(char *bytes, size_t size, size_t count, void *transfer);

// Sets the largest size to which pieces are joined, in bytes; 0 for the size
// that is best without a rate limit. Do not call it during a transfer.
void body_limit(long bytes);

// Passes the gathered bytes on.
void body_flush(void);

// Drops the bytes that were gathered for a transfer that is over.
void body_forget(const struct transfer *transfer);
