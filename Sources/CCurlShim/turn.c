// One turn of libcurl's: something has happened on a socket, or some time has
// passed.
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
    // F29: when the time for the first address of a name is over, libcurl (7.88)
    // marks it as failed, and turns to the next one in its next turn, for which
    // it sets no timer.  So it is given one.
    if (result == OK && descriptor == NO_SOCKET && next->multi_socket_all != NULL && transfer_is_connecting())
        result = next->multi_socket_all(multi, running);
    body_flush();
    return result;
}
