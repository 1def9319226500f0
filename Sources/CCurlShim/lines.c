// Shows Foundation a head that it understands (docs/foundation.md, F24).
//
// Foundation's parser rejects lines that every other client accepts, stops the
// process on some (a Content-Length near 2^63, a head that ends behind its
// status line, trailers), and acts on fields by itself: it follows a Location
// that it resolves wrongly (F18), and it handles a challenge for credentials in
// a way that hangs (F11). It therefore gets a head that says only that there is
// a response. The lane reads the head as it came, and decides.
//
// It can go when URLSession accepts the heads of Tests/Responses by itself.
#include "lines.h"

#include <string.h>

#include "next.h"
#include "transfer.h"

static bool leads_elsewhere(const struct head *head)
{
    // 304 is not a redirect, even if it has a Location (RFC 9110 §15.4.5).
    return head->status >= 300 && head->status < 400 && head->status != 304
        && head_find(head, "location", 0) != NULL;
}

static bool show(struct transfer *transfer, const char *line)
{
    // Foundation copies the line and does not write to it.
    size_t length = strlen(line);
    return transfer->on_header((char *)line, 1, length, transfer->header_data) == length;
}

static bool show_head(struct transfer *transfer)
{
    return show(transfer, "HTTP/1.1 200 -\r\n") && show(transfer, "\r\n");
}

// The length of the body if libcurl does not know it; -1 otherwise.
static long overlooked_end(const struct transfer *transfer)
{
    int64_t known = -1;
    next_functions()->easy_getinfo(transfer->easy, INFO_CONTENT_LENGTH_DOWNLOAD_T, &known);
    if (known >= 0 || head_may_be_chunked(&transfer->head))
        return -1;
    return head_content_length(&transfer->head);
}

static bool take_head(struct transfer *transfer)
{
    struct head *head = &transfer->head;
    if (head_hides_coding(head)) {
        head_blame(head, "transfer-encoding");
        transfer->is_malformed = true;
        return false;
    }
    transfer->has_head = true;
    transfer->is_redirect = leads_elsewhere(head);
    if (!transfer->is_redirect)
        transfer->ends_at = overlooked_end(transfer);
    if (!show_head(transfer))
        return false;
    // An empty body: libcurl would wait for its end, and no byte of it will
    // come.
    transfer->was_cut = transfer->ends_at == 0 && head->status != 204 && head->status != 304;
    return !transfer->was_cut;
}

size_t lines_receive(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t length = size * count;
    // Trailers are ignored: a field must not be taken from them unless its
    // definition allows that (RFC 9110 §6.5.1).
    if (transfer->has_head)
        return length;
    switch (head_add_line(&transfer->head, bytes, length)) {
    case HEAD_MORE:
    case HEAD_INTERIM:
        return length;
    case HEAD_FINAL:
        return take_head(transfer) ? length : 0;
    case HEAD_MALFORMED:
        transfer->is_malformed = true;
        return 0;
    case HEAD_NO_MEMORY:
        return 0;
    }
    return 0;
}
