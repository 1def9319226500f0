/* The least of HTTP/1.1 that a floor needs: one GET over plain TCP, and where its body begins. */
#ifndef HTTP_GET_H
#define HTTP_GET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* What is left of the body after its head was received. */
struct response {
    int socket;
    long long remaining; /* bytes of the body that are still in the socket */
    char early[8192];    /* bytes of the body that came with the head */
    size_t early_count;
};

/* Asks HOST (an IPv4 address) for PATH; only a 200 with a Content-Length will do. */
static void http_get(struct response *response, const char *host, const char *port, const char *path) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("inet_pton");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    char request[2048];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    if (write(fd, request, (size_t)length) != length) die("write");

    char head[sizeof response->early + 1];
    size_t count = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t got = recv(fd, head + count, sizeof head - 1 - count, 0);
        if (got <= 0) die("recv of the head");
        count += (size_t)got;
        head[count] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    char *field = strcasestr(head, "\r\nContent-Length:");
    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || field == NULL || field > end) {
        fprintf(stderr, "not a 200 with a length: %.40s\n", head);
        exit(1);
    }
    size_t head_length = (size_t)(end + 4 - head);
    response->socket = fd;
    response->early_count = count - head_length;
    memcpy(response->early, end + 4, response->early_count);
    response->remaining = atoll(field + 17) - (long long)response->early_count;
}

static void write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0) die("write");
        bytes += written;
        count -= (size_t)written;
    }
}

#endif
