/* floor-splice HOST PORT PATH: splice(2) from the socket into a pipe of 1 MiB. What not copying at all costs at least. */
#define _GNU_SOURCE
#include "http_get.h"
#include <fcntl.h>

enum { pipe_size = 1 << 20 };

int main(int count, char **arguments) {
    if (count != 4) return 2;
    struct response response;
    fcntl(STDOUT_FILENO, F_SETPIPE_SZ, pipe_size);
    http_get(&response, arguments[1], arguments[2], arguments[3]);
    write_all(STDOUT_FILENO, response.early, response.early_count);
    while (response.remaining > 0) {
        ssize_t moved = splice(response.socket, NULL, STDOUT_FILENO, NULL, pipe_size, SPLICE_F_MOVE);
        if (moved <= 0) die("splice");
        response.remaining -= moved;
    }
    return 0;
}
