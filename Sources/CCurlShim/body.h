// Body bytes on their way from libcurl to Foundation.
#pragma once

#include <stddef.h>

struct transfer;

// libcurl's CURLOPT_WRITEFUNCTION.
size_t body_receive(char *bytes, size_t size, size_t count, void *transfer);

// How much is put together at most, in bytes; 0 for what is best where nothing
// limits the speed. Not while a transfer is under way.
void body_limit(long bytes);

// Passes on what has been gathered.
void body_flush(void);

// Drops what has been gathered for a transfer that is over.
void body_forget(const struct transfer *transfer);
