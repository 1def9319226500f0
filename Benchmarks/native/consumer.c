/* consumer: what the design is for, a program that freads its standard input, 64 KiB at a time. Prints how many bytes
   there were and the sum of their 64-bit words, so that a wrong body is noticed; with any argument also the microseconds of
   CPU time that it has taken itself. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static long long microseconds(struct timeval time) {
    return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int arguments, char **values) {
    (void)values;
    static unsigned char buffer[64 << 10];
    uint64_t sum = 0;
    unsigned long long count = 0;
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        if (got % 8 != 0) memset(buffer + got, 0, 8 - got % 8);
        for (size_t place = 0; place < got; place += 8) {
            uint64_t word;
            memcpy(&word, buffer + place, 8);
            sum += word;
        }
        count += got;
    }
    printf("%llu %llu", count, (unsigned long long)sum);
    if (arguments > 1) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf(" %lld", microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
    }
    printf("\n");
    return ferror(stdin) != 0;
}
