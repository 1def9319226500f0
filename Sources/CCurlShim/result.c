// How a request ended, and the result that Foundation gets.
#include <stdarg.h>

#include "CCurlShim.h"
#include "next.h"
#include "transfer.h"

// Foundation cannot handle everything that libcurl calls a success: a success
// without a head stops the process.
static int correct(const struct transfer *transfer, int result)
{
    if (transfer->was_cut && result == ERROR_WRITE)
        return OK;
    // The target of a redirect is in the head, so the end of the body does not
    // matter.
    bool broke_off = result == ERROR_PARTIAL_FILE || result == ERROR_RECEIVE || result == ERROR_HTTP2
        || result == ERROR_HTTP2_STREAM;
    if (transfer->is_redirect && broke_off)
        return OK;
    if (result == OK && !transfer->has_head)
        return ERROR_GOT_NOTHING;
    if (result == OK && transfer->write_failed)
        return ERROR_WRITE;
    return result;
}

__attribute__((visibility("default"))) struct multi_message *curl_multi_info_read(
    multi_handle *multi, int *left)
{
    note_call(CCURLSHIM_MULTI_INFO_READ);
    const struct next_functions *next = next_functions();
    struct multi_message *message = next->multi_info_read(multi, left);
    if (message == NULL || message->kind != MESSAGE_DONE || !next->are_complete)
        return message;
    struct transfer *transfer = transfer_of(message->easy);
    if (transfer != NULL && transfer->on_header != NULL) {
        message->data.result = correct(transfer, message->data.result);
        transfer_note_result(transfer, message->data.result);
    }
    return message;
}

// Foundation converts the announced length to an Int64 at each header line,
// which stops the process near 2^63 (FactsTests, F6).
__attribute__((visibility("default"))) int curl_easy_getinfo(easy_handle *easy, int info, ...)
{
    va_list arguments;
    va_start(arguments, info);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);

    note_call(CCURLSHIM_EASY_GETINFO);
    const struct next_functions *next = next_functions();
    if (next->easy_getinfo == NULL)
        return ERROR_FAILED_INIT;
    int result = next->easy_getinfo(easy, info, argument);
    if (result == OK && info == INFO_CONTENT_LENGTH_DOWNLOAD) {
        double *length = argument;
        const double largest = 9007199254740992.0;  // 2^53: exact in a double.
        if (!(*length >= -1 && *length <= largest))
            *length = -1;
    }
    return result;
}
