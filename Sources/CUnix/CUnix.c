#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert((int)CUNIX_EPOLLIN == (int)EPOLLIN && (int)CUNIX_EPOLLOUT == (int)EPOLLOUT && (int)CUNIX_EPOLLERR == (int)EPOLLERR
                   && (int)CUNIX_EPOLLHUP == (int)EPOLLHUP && (int)CUNIX_EPOLLRDHUP == (int)EPOLLRDHUP
                   && (unsigned)CUNIX_EPOLLET == (unsigned)EPOLLET,
               "the epoll bits are the kernel's");
_Static_assert((int)CUNIX_RLIMIT_CORE == (int)RLIMIT_CORE && (int)CUNIX_RLIMIT_NOFILE == (int)RLIMIT_NOFILE
                   && (int)CUNIX_RLIMIT_DATA == (int)RLIMIT_DATA,
               "the limits are the kernel's");
_Static_assert((int)CUNIX_TCP_ESTABLISHED == (int)TCP_ESTABLISHED, "the state is the kernel's");

int cunix_pipe2(int fds[2], bool nonblocking_write_end)
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    if (nonblocking_write_end && fcntl(fds[1], F_SETFL, O_WRONLY | O_NONBLOCK) < 0) {
        int saved = errno;
        close(fds[0]);
        close(fds[1]);
        errno = saved;
        return -1;
    }
    return 0;
}

int cunix_get_pipe_size(int fd) { return fcntl(fd, F_GETPIPE_SZ); }
int cunix_set_pipe_size(int fd, int bytes) { return fcntl(fd, F_SETPIPE_SZ, bytes); }

int cunix_bytes_readable(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) < 0 ? -1 : n;
}

int cunix_dup_cloexec(int fd, int lowest) { return fcntl(fd, F_DUPFD_CLOEXEC, lowest); }
int cunix_set_cloexec(int fd, bool on) { return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); }

int cunix_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int cunix_get_status_flags(int fd) { return fcntl(fd, F_GETFL); }
int cunix_close_range(unsigned first, unsigned last)
{
    return (int)syscall(SYS_close_range, first, last, 0);
}

bool cunix_is_anonymous_pipe(int fd)
{
    struct statfs status;
    return fstatfs(fd, &status) == 0 && status.f_type == PIPEFS_MAGIC;
}

int cunix_reopen_read_write(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

int cunix_reopen_read(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int cunix_open_place(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_PATH | O_CLOEXEC);
}

void cunix_use_one_malloc_arena(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

void cunix_give_memory_back(void) { malloc_trim(0); }

const void *cunix_find(const void *bytes, size_t count, const void *part, size_t part_count)
{
    return memmem(bytes, count, part, part_count);
}

int cunix_terminal_width(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) < 0 ? -1 : size.ws_col;
}

int cunix_terminal_height(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) < 0 ? -1 : size.ws_row;
}

ssize_t cunix_splice(int from, int to, size_t count)
{
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

ssize_t cunix_splice_blocking(int from, int to, size_t count)
{
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE);
}

int cunix_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }
int cunix_seal_size(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int cunix_seal_content(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

bool cunix_size_is_sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    int both = F_SEAL_SHRINK | F_SEAL_GROW;
    return seals >= 0 && (seals & both) == both;
}

// ---- record locks ---------------------------------------------------------

int cunix_lock_write(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock);
}

int cunix_unlock(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock);
}

pid_t cunix_lock_holder(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return -1;
    if (lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid > 0)
        return lock.l_pid;
    errno = EAGAIN;
    return -1;
}

int cunix_punch_hole(int fd, int64_t offset, int64_t length)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int cunix_accept(int fd)
{
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    // A byte that was sent with MSG_OOB, and descriptors with it, would be passed over by MSG_PEEK and dropped by the
    // next recv.
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
    // A look first, without room for descriptors: the kernel then says whether there are some, and keeps them.
    struct iovec piece = {bytes, length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    *holds_descriptors = false;
    ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0)
        return n;
    // MSG_TRUNC is a packet that is too long.
    if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        *holds_descriptors = true;
        return 0;
    }
    // No more than was seen: more may have come, with descriptors.
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

int cunix_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t token)
{
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event);
}

int cunix_epoll_add(int epoll, int fd, uint32_t events, uint64_t token)
{
    return control(epoll, EPOLL_CTL_ADD, fd, events, token);
}

int cunix_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token)
{
    return control(epoll, EPOLL_CTL_MOD, fd, events, token);
}

int cunix_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int cunix_epoll_wait(int epoll, struct cunix_event *events, int capacity, int timeout)
{
    // epoll_event is packed on x86-64, and Swift cannot read packed structs.
    struct epoll_event packed[64];
    if (capacity > 64)
        capacity = 64;
    int n = epoll_wait(epoll, packed, capacity, timeout);
    for (int i = 0; i < n; i++) {
        events[i].events = packed[i].events;
        events[i].token = packed[i].data.u64;
    }
    return n;
}

int cunix_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cunix_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int cunix_pidfd_send_signal(int pidfd, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

// The child's half of cunix_spawn: async-signal-safe calls only.
static void become(const char *path, char *const argv[], char *const envp[], const int wanted[4],
                   int report, bool new_session)
{
    int moved[4];
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (new_session)
        setsid();
    // First out of the way of 0 to 4, so that no dup2 lands on one still needed.
    for (int i = 0; i < 4; i++) {
        int fd = wanted[i];
        if (fd < 0 && i < 3)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 5);
        if (fd >= 0 && moved[i] < 0)
            goto failed;
    }
    int high_report = fcntl(report, F_DUPFD_CLOEXEC, 5);
    if (high_report < 0)
        goto failed;
    report = high_report;
    for (int i = 0; i < 4; i++) {
        if (moved[i] >= 0 && dup2(moved[i], i) < 0)
            goto failed;
    }
    if (dup2(report, 4) < 0 || fcntl(4, F_SETFD, FD_CLOEXEC) < 0)
        goto failed;
    report = 4;
    if (moved[3] < 0)
        close(3);
    syscall(SYS_close_range, 5U, ~0U, 0U);
    execve(path, argv, envp);
failed:;
    int error = errno;
    ssize_t ignored = write(report, &error, sizeof error);
    (void)ignored;
    _exit(127);
}

pid_t cunix_spawn(const char *path, char *const argv[], char *const envp[], int standard_input,
                  int standard_output, int standard_error, int control_fd, bool new_session)
{
    const int wanted[4] = {standard_input, standard_output, standard_error, control_fd};
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return -1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        become(path, argv, envp, wanted, report[1], new_session);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        errno = saved;
        return -1;
    }
    int error = 0;
    ssize_t n;
    do
        n = read(report[0], &error, sizeof error);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == sizeof error) {
        waitpid(pid, NULL, 0);
        errno = error;
        return -1;
    }
    return pid;
}

int cunix_reap(int pidfd, int *code, int *status)
{
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        return -1;
    if (info.si_pid == 0)
        return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

void cunix_schedule_as_batch(void)
{
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH, &none);
}

int cunix_set_limit(int resource, uint64_t soft_and_hard)
{
    struct rlimit limit = {soft_and_hard, soft_and_hard};
    return setrlimit(resource, &limit);
}

bool cunix_parse_time(const char *text, const char *form, int64_t *seconds) {
    struct tm fields = {0};
    const char *end = strptime(text, form, &fields);
    if (end == NULL || *end != '\0') return false;
    // A leap second would be the next day's first one.
    if (fields.tm_sec > 59) fields.tm_sec = 59;
    int month = fields.tm_mon;
    *seconds = timegm(&fields);
    // 31 February is no day, and timegm(3) makes one in March of it.
    return fields.tm_mon == month;
}
