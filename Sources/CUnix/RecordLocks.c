#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>

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
