#define _GNU_SOURCE
#include "CUnix.h"

#include <fcntl.h>

ssize_t cunix_splice(int from, int to, size_t count)
{
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

ssize_t cunix_splice_blocking(int from, int to, size_t count)
{
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE);
}

int cunix_start_writing_back(int fd, int64_t offset, int64_t length)
{
    return sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}
