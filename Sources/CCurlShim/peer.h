// Checks the addresses that requests connect to.
//
// A check of a name, or of a name server's answer, says nothing about the
// address that libcurl connects to a moment later. libcurl has callbacks at the
// two places where the address is certain: before it makes a socket for an
// address, and before it sends a request on a connection, new or kept.
#pragma once

#include <stdbool.h>

#include "CCurlShim.h"
#include "transfer.h"

typedef bool may_connect_function(const unsigned char address[16], int port);

// Sets the function that is asked for the requests that begin from now on, or
// NULL.
void peer_ask(may_connect_function *function);

// Sets the options of a request.
void peer_set_options(struct transfer *transfer);

// Whether a request may be sent to this peer, as libcurl names it.
bool peer_is_allowed(struct transfer *transfer, const char *peer, int port);
