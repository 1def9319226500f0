#define _GNU_SOURCE
#include "CTestKit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

// One word of the pattern: SplitMix64's finisher over the word's number.  Every
// word depends on its own place alone, so any range can be made by itself.
static inline uint64_t word(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void ctestkit_pattern_fill(uint64_t seed, uint64_t offset, void *bytes, size_t length)
{
    unsigned char *out = bytes;
    while (length > 0) {
        uint64_t value = word(seed, offset / 8);
        size_t skip = offset % 8;
        size_t take = 8 - skip < length ? 8 - skip : length;
        memcpy(out, (unsigned char *)&value + skip, take);
        out += take;
        offset += take;
        length -= take;
        for (uint64_t index = offset / 8; offset % 8 == 0 && length >= 8; index++) {
            value = word(seed, index);
            memcpy(out, &value, 8);
            out += 8;
            offset += 8;
            length -= 8;
        }
    }
}

size_t ctestkit_pattern_agreement(uint64_t seed, uint64_t offset, const void *bytes, size_t length)
{
    const unsigned char *in = bytes;
    size_t done = 0;
    while (done < length) {
        uint64_t value = word(seed, (offset + done) / 8);
        size_t skip = (offset + done) % 8;
        if (skip == 0 && length - done >= 8) {
            uint64_t found;
            memcpy(&found, in + done, 8);
            if (found == value) {
                done += 8;
                continue;
            }
        }
        const unsigned char *expected = (unsigned char *)&value;
        for (; skip < 8 && done < length; skip++, done++)
            if (in[done] != expected[skip])
                return done;
    }
    return length;
}

static socklen_t address_of(struct sockaddr_storage *storage, const char *address, uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)storage;
    memset(storage, 0, sizeof *storage);
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return sizeof *six;
    }
    errno = EINVAL;
    return 0;
}

static int close_keeping_errno(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int ctestkit_listen(const char *address, uint16_t port, int backlog)
{
    struct sockaddr_storage storage;
    socklen_t length = address_of(&storage, address, port);
    if (length == 0)
        return -1;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&storage, length) < 0 || listen(fd, backlog) < 0)
        return close_keeping_errno(fd);
    return fd;
}

int ctestkit_connect(const char *address, uint16_t port)
{
    struct sockaddr_storage storage;
    socklen_t length = address_of(&storage, address, port);
    if (length == 0)
        return -1;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&storage, length) < 0)
        return close_keeping_errno(fd);
    return fd;
}

int ctestkit_local_port(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0)
        return -1;
    if (storage.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return ntohs(((struct sockaddr_in *)&storage)->sin_port);
}

int ctestkit_reset_on_close(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

int ctestkit_set_no_delay(int fd)
{
    int one = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int ctestkit_set_send_buffer(int fd, int bytes)
{
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int ctestkit_remove_tree(const char *path) { return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

int ctestkit_lock_whole(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &whole);
}

pid_t ctestkit_lock_holder(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &whole) < 0)
        return -1;
    return whole.l_type == F_UNLCK ? 0 : whole.l_pid;
}

bool ctestkit_is_writable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT) != 0;
}

int ctestkit_open_terminal(int ends[2], int columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    struct termios modes;
    char name[64];
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0)
        return -1;
    if (grantpt(ends[0]) < 0 || unlockpt(ends[0]) < 0 || ptsname_r(ends[0], name, sizeof name) != 0
        || (ends[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        close(ends[0]);
        return -1;
    }
    tcgetattr(ends[1], &modes);
    cfmakeraw(&modes);
    tcsetattr(ends[1], TCSANOW, &modes);
    return ioctl(ends[1], TIOCSWINSZ, &size);
}

int ctestkit_thread_becomes_user(uid_t user) { return (int)syscall(SYS_setresuid, -1, user, -1); }

void ctestkit_thread_becomes_itself(void)
{
    // A thread that cannot go back must not go on.
    if (syscall(SYS_setresuid, -1, getuid(), -1) < 0)
        abort();
}

int ctestkit_connect_unix_as(const char *path, uid_t user)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (ctestkit_thread_becomes_user(user) < 0)
        return close_keeping_errno(fd);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    int saved = errno;
    ctestkit_thread_becomes_itself();
    errno = saved;
    return result < 0 ? close_keeping_errno(fd) : fd;
}
