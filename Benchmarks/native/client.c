/* A small client of io.sluice.Ingest: a pipe for each body, and one call for each, which is answered with the pipe and then
   with the outcome.

   client SOCKET jobs COUNT INFLIGHT SIZE URL   fetches URL?0 to URL?(COUNT-1), INFLIGHT of them at a time, on as many
                                                connections
   client SOCKET latency COUNT SIZE URL         one after another; prints the nanoseconds from each call to its first byte

   Every body is read to its end, has to have SIZE bytes, and its job has to be complete. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { most = 256 };

static void die(const char *what) {
    fprintf(stderr, "client: ");
    perror(what);
    exit(1);
}

static void refuse(const char *what, const char *reply) {
    fprintf(stderr, "client: %s: %.300s\n", what, reply);
    exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* ---- messages ------------------------------------------------------------ */

struct connection {
    int socket;
    char bytes[64 << 10]; /* what was received and not yet taken */
    size_t count, taken;  /* of bytes; those that were taken */
    int descriptor;       /* the latest that was passed, or -1 */
};

static void connect_to(struct connection *connection, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    connection->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    connection->count = connection->taken = 0;
    connection->descriptor = -1;
}

/* With "more" there are two replies: the pipe comes with the first, the outcome with the second. */
static void fetch(struct connection *connection, const char *url) {
    char message[2048];
    int length = snprintf(message, sizeof message,
                          "{\"method\":\"io.sluice.Ingest.Fetch\",\"more\":true,\"parameters\":{\"url\":\"%s\"}}", url);
    /* The terminating NUL is the end of the message. */
    if (send(connection->socket, message, (size_t)length + 1, MSG_NOSIGNAL) != length + 1) die("send");
}

/* Receives once; a reply with a descriptor is alone in what this gets. */
static void receive(struct connection *connection) {
    if (connection->taken > 0) {
        connection->count -= connection->taken;
        memmove(connection->bytes, connection->bytes + connection->taken, connection->count);
        connection->taken = 0;
    }
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec piece = {connection->bytes + connection->count, sizeof connection->bytes - connection->count};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(connection->socket, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) die("recvmsg");
    connection->count += (size_t)got;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item != NULL; item = CMSG_NXTHDR(&message, item))
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
            memcpy(&connection->descriptor, CMSG_DATA(item), sizeof(int));
}

/* The next reply that is there as a whole, or NULL. Good until the next receive. */
static const char *next_reply(struct connection *connection) {
    char *begin = connection->bytes + connection->taken;
    char *end = memchr(begin, 0, connection->count - connection->taken);
    if (end == NULL) return NULL;
    connection->taken += (size_t)(end + 1 - begin);
    if (strstr(begin, "\"error\":") != NULL) refuse("an error", begin);
    return begin;
}

/* What follows "name": in a reply, without a quotation mark. */
static const char *field(const char *reply, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *place = strstr(reply, key);
    if (place == NULL) refuse(name, reply);
    place += strlen(key);
    while (*place == ' ' || *place == '"') place++;
    return place;
}

static void check_outcome(const char *reply, long long bytes, long long size) {
    if (bytes != size || atoll(field(reply, "bytesDelivered")) != size) refuse("not as many bytes as there should be", reply);
    if (strncmp(field(field(reply, "outcome"), "code"), "complete\"", 9) != 0) refuse("not complete", reply);
}

/* ---- many at a time ------------------------------------------------------ */

/* A connection has one job at a time. */
struct slot {
    struct connection connection;
    int pipe; /* -1 where nothing is to be read */
    long long bytes;
    int is_busy;
};
static struct slot slots[most];

static void fetch_next(struct slot *slot, const char *url, long number) {
    char numbered[1024];
    snprintf(numbered, sizeof numbered, "%s?%ld", url, number);
    fetch(&slot->connection, numbered);
    slot->bytes = 0;
    slot->is_busy = 1;
}

static void read_body(struct slot *slot) {
    static char buffer[64 << 10];
    ssize_t got = read(slot->pipe, buffer, sizeof buffer);
    if (got < 0) die("read");
    slot->bytes += got;
    if (got > 0) return;
    close(slot->pipe);
    slot->pipe = -1;
}

/* Takes what has come; returns whether the job is over. */
static int hear(struct slot *slot, long long size) {
    struct connection *connection = &slot->connection;
    receive(connection);
    const char *reply;
    while ((reply = next_reply(connection)) != NULL) {
        if (strstr(reply, "\"continues\":true") != NULL) {
            if (connection->descriptor < 0) refuse("no descriptor", reply);
            slot->pipe = connection->descriptor;
            connection->descriptor = -1;
            continue;
        }
        /* The outcome may overtake the end of the body, but not the body. */
        while (slot->pipe >= 0) read_body(slot);
        check_outcome(reply, slot->bytes, size);
        return 1;
    }
    return 0;
}

static void run_jobs(const char *path, long count, int inflight, long long size, const char *url) {
    static struct pollfd polled[2 * most];
    long started = 0, ended = 0;
    for (int i = 0; i < inflight; i++) {
        connect_to(&slots[i].connection, path);
        slots[i].pipe = -1;
        if (started < count) fetch_next(&slots[i], url, started++);
    }
    while (ended < count) {
        for (int i = 0; i < inflight; i++) {
            int is_busy = slots[i].is_busy;
            polled[2 * i] = (struct pollfd){.fd = is_busy ? slots[i].pipe : -1, .events = POLLIN};
            polled[2 * i + 1] = (struct pollfd){.fd = is_busy ? slots[i].connection.socket : -1, .events = POLLIN};
        }
        if (poll(polled, 2 * (nfds_t)inflight, 60000) <= 0) die("poll");
        for (int i = 0; i < inflight; i++) {
            if (polled[2 * i].revents != 0) read_body(&slots[i]);
            if (polled[2 * i + 1].revents == 0 || !hear(&slots[i], size)) continue;
            ended++;
            slots[i].is_busy = 0;
            if (started < count) fetch_next(&slots[i], url, started++);
        }
    }
    printf("%lld\n", (long long)ended * size);
}

/* ---- one after another --------------------------------------------------- */

static const char *answer(struct connection *connection) {
    const char *reply;
    while ((reply = next_reply(connection)) == NULL) receive(connection);
    return reply;
}

static void run_latency(const char *path, long count, long long size, const char *url) {
    static char buffer[64 << 10];
    static struct connection connection;
    connect_to(&connection, path);
    for (long i = 0; i < count; i++) {
        long long begin = now();
        fetch(&connection, url);
        const char *reply = answer(&connection);
        if (connection.descriptor < 0) refuse("no descriptor", reply);
        ssize_t got = read(connection.descriptor, buffer, 1);
        long long first = now() - begin, bytes = 0;
        while (got > 0) {
            bytes += got;
            got = read(connection.descriptor, buffer, sizeof buffer);
        }
        close(connection.descriptor);
        connection.descriptor = -1;
        check_outcome(answer(&connection), bytes, size);
        printf("%lld\n", first);
    }
}

int main(int count, char **arguments) {
    if (count < 6) return 2;
    if (strcmp(arguments[2], "jobs") == 0 && count == 7) {
        int inflight = atoi(arguments[4]);
        if (inflight < 1 || inflight > most) return 2;
        run_jobs(arguments[1], atol(arguments[3]), inflight, atoll(arguments[5]), arguments[6]);
    } else if (strcmp(arguments[2], "latency") == 0 && count == 6) {
        run_latency(arguments[1], atol(arguments[3]), atoll(arguments[4]), arguments[5]);
    } else {
        return 2;
    }
    return 0;
}
