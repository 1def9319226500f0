// Gathers body bytes for Foundation (docs/foundation.md, F31).
//
// libcurl passes a body on in pieces of at most 16 KiB, and each chunk of a
// chunked body by itself. Foundation makes a Data and a timer for each piece,
// about 350 bytes that stay until its queue is idle: 3 MB in chunks of a byte
// needed 1 GB. The pieces that libcurl delivers in one turn are therefore
// joined, up to 64 KiB, and handed over before the turn ends. No piece is held
// back while libcurl waits for more. (256 KiB were slower: the bytes were no
// longer in the processor's cache when Foundation copied them.)
#include "body.h"

#include <string.h>

#include "transfer.h"

enum { GATHERED_BYTES = 64 << 10 };

// How much of a redirect's body is read in order to keep the connection, in
// bytes.
enum { REDIRECT_BYTES = 64 << 10 };

// Global to the process, without a lock: transfers take turns on one serial
// queue (transfer.h).
static char gathered[GATHERED_BYTES];
static size_t gathered_limit = GATHERED_BYTES;
static size_t gathered_length;
static struct transfer *gathered_for;

void body_limit(long bytes)
{
    gathered_limit = bytes > 0 && bytes < GATHERED_BYTES ? (size_t)bytes : GATHERED_BYTES;
}

void body_flush(void)
{
    struct transfer *transfer = gathered_for;
    size_t length = gathered_length;
    if (transfer == NULL)
        return;
    gathered_for = NULL;
    gathered_length = 0;
    if (transfer->on_write(gathered, 1, length, transfer->write_data) != length)
        transfer->write_failed = true;
}

void body_forget(const struct transfer *transfer)
{
    if (gathered_for == transfer) {
        gathered_for = NULL;
        gathered_length = 0;
    }
}

// Foundation would keep the body of a redirect in memory, outside of the gate.
static size_t drop(struct transfer *transfer, size_t length)
{
    if (transfer->received <= REDIRECT_BYTES)
        return length;
    // libcurl closes the connection, and result.c corrects the result.
    transfer->was_cut = true;
    return 0;
}

static size_t pass_on(struct transfer *transfer, char *bytes, size_t length)
{
    if (gathered_for != transfer || length > gathered_limit - gathered_length)
        body_flush();
    if (transfer->write_failed)
        return 0;
    if (length >= gathered_limit)
        return transfer->on_write(bytes, 1, length, transfer->write_data);
    if (length > 0) {
        gathered_for = transfer;
        memcpy(gathered + gathered_length, bytes, length);
        gathered_length += length;
    }
    return length;
}

size_t body_receive(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t length = size * count;
    // A body without a head stops the process in Foundation. It is the first line of something that is not HTTP, or
    // of HTTP/0.9.
    if (!transfer->has_head) {
        head_refuse(&transfer->head, bytes, length);
        transfer->is_malformed = true;
        return 0;
    }
    size_t before = transfer->received, wanted = length;
    transfer->received += length;
    if (transfer->is_redirect)
        return drop(transfer, length);
    if (transfer->ends_at >= 0 && wanted > (size_t)transfer->ends_at - before)
        wanted = (size_t)transfer->ends_at - before;
    if (pass_on(transfer, bytes, wanted) != wanted)
        return 0;
    // libcurl overlooks a length beside "Transfer-Encoding: identity", or with a blank before its colon, and would
    // wait for the end of the connection.
    if (transfer->ends_at >= 0 && transfer->received >= (size_t)transfer->ends_at) {
        transfer->was_cut = true;
        return 0;
    }
    return length;
}
