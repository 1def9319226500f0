/* floor-write HOST PORT PATH: recv(2) into 256 KiB and write(2) into a pipe of 1 MiB. What copying once costs at least. */
#define _GNU_SOURCE
#include "http_get.h"
#include <fcntl.h>

enum { pipe_size = 1 << 20, buffer_size = 256 << 10 };

int main(int count, char **arguments) {
    if (count != 4) return 2;
    static char buffer[buffer_size];
    struct response response;
    fcntl(STDOUT_FILENO, F_SETPIPE_SZ, pipe_size);
    http_get(&response, arguments[1], arguments[2], arguments[3]);
    write_all(STDOUT_FILENO, response.early, response.early_count);
    while (response.remaining > 0) {
        ssize_t got = recv(response.socket, buffer, sizeof buffer, 0);
        if (got <= 0) die("recv");
        write_all(STDOUT_FILENO, buffer, (size_t)got);
        response.remaining -= got;
    }
    return 0;
}
