#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "next.h"

// Written by peer_ask between two transfers, read on the session's queue during
// one.
static may_connect_function *may_connect;

void peer_ask(may_connect_function *function) { may_connect = function; }

static void map(const void *address, unsigned char mapped[16])
{
    memset(mapped, 0, 10);
    mapped[10] = mapped[11] = 0xff;
    memcpy(mapped + 12, address, 4);
}

static bool is_allowed(struct transfer *transfer, const unsigned char address[16], int port)
{
    if (may_connect(address, port))
        return true;
    if (!transfer->was_denied) {
        memcpy(transfer->denied, address, sizeof transfer->denied);
        transfer->denied_port = port;
    }
    transfer->was_denied = true;
    return false;
}

static bool address_is_allowed(struct transfer *transfer, const struct socket_address *address)
{
    unsigned char bytes[16];
    if (address->family == AF_INET && address->length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, &address->address, sizeof in);
        map(&in.sin_addr, bytes);
        return is_allowed(transfer, bytes, ntohs(in.sin_port));
    }
    if (address->family == AF_INET6 && address->length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->address, sizeof in6);
        memcpy(bytes, &in6.sin6_addr, sizeof bytes);
        return is_allowed(transfer, bytes, ntohs(in6.sin6_port));
    }
    // No rule can name such an address.
    return false;
}

// libcurl's CURLOPT_OPENSOCKETFUNCTION.
static int on_open_socket(void *data, int purpose, struct socket_address *address)
{
    (void)purpose;
    struct transfer *transfer = data;
    if (may_connect != NULL && !address_is_allowed(transfer, address))
        return NO_SOCKET;
    transfer->was_tried = true;
    return socket(address->family, address->type | SOCK_CLOEXEC, address->protocol);
}

bool peer_is_allowed(struct transfer *transfer, const char *peer, int port)
{
    if (may_connect == NULL)
        return true;
    unsigned char address[16], four[4];
    if (peer != NULL && inet_pton(AF_INET, peer, four) == 1)
        map(four, address);
    else if (peer == NULL || inet_pton(AF_INET6, peer, address) != 1)
        return false;
    if (is_allowed(transfer, address, port))
        return true;
    // This is a connection that was kept from before these rules: no other
    // address was tried.
    transfer->was_tried = false;
    return false;
}

void peer_set_options(struct transfer *transfer)
{
    const struct next_functions *next = next_functions();
    next->easy_setopt(transfer->easy, OPTION_OPENSOCKETFUNCTION, (long)on_open_socket);
    next->easy_setopt(transfer->easy, OPTION_OPENSOCKETDATA, (long)transfer);
}
