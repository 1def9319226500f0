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
