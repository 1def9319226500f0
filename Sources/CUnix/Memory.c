#define _GNU_SOURCE
#include "CUnix.h"

#include <malloc.h>
#include <string.h>

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
