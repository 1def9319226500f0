// One turn of libcurl: something has happened on a socket, or a timer has
// fired.
#include "CCurlShim.h"
#include "body.h"
#include "next.h"
#include "transfer.h"

__attribute__((visibility("default"))) int curl_multi_socket_action(
    multi_handle *multi, int descriptor, int events, int *running)
{
    note_call(CCURLSHIM_MULTI_SOCKET_ACTION);
    const struct next_functions *next = next_functions();
    int result = next->multi_socket_action(multi, descriptor, events, running);
    // When the time for the first address of a name is over, libcurl (7.88)
    // marks it as failed and tries the next one in its next turn, for which it
    // sets no timer (docs/foundation.md, F29). The shim therefore gives it a
    // turn at once.
    if (result == OK && descriptor == NO_SOCKET && next->multi_socket_all != NULL && transfer_is_connecting())
        result = next->multi_socket_all(multi, running);
    body_flush();
    return result;
}
