#define _GNU_SOURCE
#include "CUnix.h"

#include <fcntl.h>
#include <sys/mman.h>

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

int cunix_punch_hole(int fd, int64_t offset, int64_t length)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}
