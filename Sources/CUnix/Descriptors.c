#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

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
