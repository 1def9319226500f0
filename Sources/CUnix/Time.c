#define _GNU_SOURCE
#include "CUnix.h"

#include <time.h>

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
