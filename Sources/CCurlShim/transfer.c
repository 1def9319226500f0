#include "transfer.h"

#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "next.h"

// Used on the session's queue only (transfer.h).
static struct transfer *current;

struct transfer *transfer_of(easy_handle *easy)
{
    const struct next_functions *next = next_functions();
    struct transfer *transfer = NULL;
    if (next->easy_getinfo(easy, INFO_PRIVATE, &transfer) != OK || transfer != NULL)
        return transfer;
    transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        return NULL;
    transfer->easy = easy;
    if (next->easy_setopt(easy, OPTION_PRIVATE, transfer) != OK) {
        free(transfer);
        return NULL;
    }
    return transfer;
}

struct transfer *transfer_current(void) { return current; }

bool transfer_is_connecting(void)
{
    return current != NULL && !current->is_connected && current->result < 0;
}

void transfer_begin(struct transfer *transfer)
{
    body_forget(transfer);
    head_reset(&transfer->head);
    transfer->has_head = transfer->is_malformed = false;
    transfer->is_redirect = transfer->was_cut = false;
    transfer->received = 0;
    transfer->ends_at = -1;
    transfer->write_failed = false;
    transfer->is_connected = transfer->is_reused = false;
    transfer->peer[0] = '\0';
    transfer->was_denied = transfer->was_tried = false;
    transfer->result = -1;
    transfer->is_kept = false;
    transfer->os_error = transfer->connect_status = transfer->http_version = 0;
    current = transfer;
}

void transfer_end(struct transfer *transfer)
{
    body_forget(transfer);
    if (current == transfer)
        current = NULL;
    head_free(&transfer->head);
    free(transfer);
}

static int number(easy_handle *easy, int info)
{
    long value = 0;
    next_functions()->easy_getinfo(easy, info, &value);
    return (int)value;
}

void transfer_note_result(struct transfer *transfer, int result)
{
    transfer->result = result;
    transfer->os_error = number(transfer->easy, INFO_OS_ERRNO);
    transfer->connect_status = number(transfer->easy, INFO_HTTP_CONNECTCODE);
    transfer->http_version = number(transfer->easy, INFO_HTTP_VERSION);
    int socket = -1;
    transfer->is_kept = next_functions()->easy_getinfo(transfer->easy, INFO_ACTIVESOCKET, &socket) == OK
        && socket >= 0;
    const char *peer = NULL;
    if (next_functions()->easy_getinfo(transfer->easy, INFO_PRIMARY_IP, &peer) == OK && peer != NULL) {
        strncpy(transfer->peer, peer, sizeof transfer->peer - 1);
        transfer->peer[sizeof transfer->peer - 1] = '\0';
    }
}
