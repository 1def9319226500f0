#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert((int)CUNIX_TCP_ESTABLISHED == (int)TCP_ESTABLISHED, "the state is the kernel's");

int cunix_accept(int fd)
{
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    // Without this option, MSG_PEEK skips a byte that was sent with MSG_OOB, and the next recv(2) drops it, together
    // with descriptors that came with it.
    if (accepted >= 0) {
        int on = 1;
        setsockopt(accepted, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    }
    return accepted;
}

int cunix_peer_credentials(int fd, struct cunix_credentials *out)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return -1;
    out->pid = peer.pid;
    out->uid = peer.uid;
    out->gid = peer.gid;
    return 0;
}

ssize_t cunix_send(int fd, const void *bytes, size_t length, const int *fds, size_t count,
                   bool dont_wait)
{
    struct iovec piece = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CUNIX_MAX_FDS * sizeof(int))];
    if (count > CUNIX_MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    if (count > 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | (dont_wait ? MSG_DONTWAIT : 0));
}

ssize_t cunix_receive(int fd, void *bytes, size_t length, int *fds, size_t *count, bool *truncated,
                      bool dont_wait)
{
    struct iovec piece = {bytes, length};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CUNIX_MAX_FDS * sizeof(int))];
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    size_t room = *count;
    *count = 0;
    *truncated = false;
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (dont_wait ? MSG_DONTWAIT : 0));
    if (n < 0)
        return n;
    *truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n_fds; i++) {
            int received;
            memcpy(&received, CMSG_DATA(h) + i * sizeof(int), sizeof received);
            if (*count < room) {
                fds[(*count)++] = received;
            } else {
                close(received);
                *truncated = true;
            }
        }
    }
    return n;
}

ssize_t cunix_receive_bytes(int fd, void *bytes, size_t length, bool *holds_descriptors)
{
    // The first call peeks without room for descriptors: the kernel then reports whether there are some, and keeps
    // them.
    struct iovec piece = {bytes, length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    *holds_descriptors = false;
    ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0)
        return n;
    // MSG_TRUNC means that a packet is too long.
    if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        *holds_descriptors = true;
        return 0;
    }
    // Receives no more than was seen, because more bytes may have come with descriptors.
    return recv(fd, bytes, (size_t)n, MSG_DONTWAIT);
}

bool cunix_has_unread(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

int cunix_set_send_buffer(int fd, int bytes)
{
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

int cunix_unreceived_by_peer(int fd)
{
    int n = 0;
    return ioctl(fd, TIOCOUTQ, &n) < 0 ? -1 : n;  // SIOCOUTQ's other name
}

static int unix_address(struct sockaddr_un *address, const char *path)
{
    size_t length = strlen(path);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, length);
    size_t base = offsetof(struct sockaddr_un, sun_path);
    if (path[0] == '@') {
        address->sun_path[0] = 0;
        return (int)(base + length);
    }
    return (int)(base + length + 1);
}

int cunix_bind_unix(int fd, const char *path)
{
    struct sockaddr_un address;
    int length = unix_address(&address, path);
    return length < 0 ? -1 : bind(fd, (struct sockaddr *)&address, (socklen_t)length);
}

int cunix_connect_unix(int fd, const char *path)
{
    struct sockaddr_un address;
    int length = unix_address(&address, path);
    return length < 0 ? -1 : connect(fd, (struct sockaddr *)&address, (socklen_t)length);
}

ssize_t cunix_send_datagram(int fd, const char *path, const void *bytes, size_t length, int passed,
                            bool dont_wait)
{
    struct sockaddr_un address;
    int address_length = unix_address(&address, path);
    struct iovec piece = {(void *)bytes, length};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = (socklen_t)address_length,
                             .msg_iov = &piece,
                             .msg_iovlen = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof passed)];
    if (address_length < 0)
        return -1;
    if (passed >= 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(header), &passed, sizeof passed);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | (dont_wait ? MSG_DONTWAIT : 0));
}

int cunix_socket_domain(int fd)
{
    int domain;
    socklen_t length = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ? -1 : domain;
}

int cunix_tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ? -1 : info.tcpi_state;
}
