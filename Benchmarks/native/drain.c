/* drain DESCRIPTOR...: reads all of them to their ends, whichever has something, and prints how many bytes each gave. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { most = 1024 };

int main(int count, char **arguments) {
    static char buffer[64 << 10];
    static struct pollfd polled[most];
    static unsigned long long bytes[most];
    int number = count - 1, open = number;
    if (number < 1 || number > most) return 2;
    for (int i = 0; i < number; i++) polled[i] = (struct pollfd){.fd = atoi(arguments[i + 1]), .events = POLLIN};
    while (open > 0) {
        if (poll(polled, (nfds_t)number, -1) < 0) return 1;
        for (int i = 0; i < number; i++) {
            if (polled[i].fd < 0 || polled[i].revents == 0) continue;
            ssize_t got = read(polled[i].fd, buffer, sizeof buffer);
            if (got < 0) return 1;
            bytes[i] += (unsigned long long)got;
            if (got == 0) {
                close(polled[i].fd);
                polled[i].fd = -1;
                open--;
            }
        }
    }
    for (int i = 0; i < number; i++) printf("%llu\n", bytes[i]);
    return 0;
}
