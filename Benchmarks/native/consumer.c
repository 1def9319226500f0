/* consumer: what the design is for, a program that freads its standard input, 64 KiB at a time. Prints how many bytes
   there were and the sum of their 64-bit words, so that a wrong body is noticed. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(void) {
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
    printf("%llu %llu\n", count, (unsigned long long)sum);
    return ferror(stdin) != 0;
}
