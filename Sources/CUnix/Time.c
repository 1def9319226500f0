#define _GNU_SOURCE
#include "CUnix.h"

#include <time.h>

bool cunix_parse_time(const char *text, const char *form, int64_t *seconds) {
    struct tm fields = {0};
    const char *end = strptime(text, form, &fields);
    if (end == NULL || *end != '\0') return false;
    // timegm(3) would turn a leap second into the first second of the next minute.
    if (fields.tm_sec > 59) fields.tm_sec = 59;
    int month = fields.tm_mon;
    *seconds = timegm(&fields);
    // 31 February is not a date, and timegm(3) turns it into a day in March.
    return fields.tm_mon == month;
}
