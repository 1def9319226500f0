// What the lane can ask about the current request.
#include <string.h>

#include "CCurlShim.h"
#include "transfer.h"

bool ccurlshim_has_head(void)
{
    const struct transfer *transfer = transfer_current();
    return transfer != NULL && transfer->has_head;
}

int ccurlshim_status(void)
{
    const struct transfer *transfer = transfer_current();
    return transfer != NULL && transfer->has_head ? transfer->head.status : 0;
}

struct ccurlshim_text ccurlshim_field(const char *name, size_t number)
{
    const struct transfer *transfer = transfer_current();
    if (transfer == NULL || !transfer->has_head)
        return (struct ccurlshim_text){ NULL, 0 };
    const struct head_field *field = head_find(&transfer->head, name, number);
    if (field == NULL)
        return (struct ccurlshim_text){ NULL, 0 };
    return (struct ccurlshim_text){ transfer->head.bytes + field->value, field->value_length };
}

bool ccurlshim_result(struct ccurlshim_result *result)
{
    const struct transfer *transfer = transfer_current();
    if (transfer == NULL)
        return false;
    memset(result, 0, sizeof *result);
    result->code = transfer->result;
    result->os_error = transfer->os_error;
    result->connect_status = transfer->connect_status;
    result->is_http2 = transfer->http_version == 3;
    result->is_connected = transfer->is_connected;
    result->is_reused = transfer->is_reused;
    result->is_kept = transfer->is_kept;
    memcpy(result->peer, transfer->peer, sizeof result->peer);
    result->is_denied = transfer->was_denied && !transfer->was_tried && !transfer->is_connected;
    memcpy(result->denied, transfer->denied, sizeof result->denied);
    result->denied_port = transfer->denied_port;
    if (transfer->is_malformed) {
        result->offending = transfer->head.offending;
        result->offending_length = transfer->head.offending_length;
    }
    return true;
}
