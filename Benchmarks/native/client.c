/* A small client of io.sluice.Ingest: one connection, a pipe for each body, and a question about each outcome.

   client SOCKET jobs COUNT INFLIGHT SIZE URL   fetches URL?0 to URL?(COUNT-1), INFLIGHT of them at a time
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

static void call(struct connection *connection, const char *method, const char *name, const char *value) {
    char message[2048];
    int length = snprintf(message, sizeof message, "{\"method\":\"io.sluice.Ingest.%s\",\"parameters\":{\"%s\":\"%s\"}}",
                          method, name, value);
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

static void copy_id(char *id, size_t room, const char *reply) {
    const char *text = field(reply, "id");
    size_t length = strcspn(text, "\"");
    if (length >= room) refuse("id", reply);
    memcpy(id, text, length);
    id[length] = 0;
}

static void check_outcome(const char *reply, long long bytes, long long size) {
    if (bytes != size || atoll(field(reply, "bytesDelivered")) != size) refuse("not as many bytes as there should be", reply);
    if (strncmp(field(field(reply, "outcome"), "code"), "complete\"", 9) != 0) refuse("not complete", reply);
}

/* ---- many at a time ------------------------------------------------------ */

struct job {
    char id[128];
    int pipe; /* -1 where nothing is to be read */
    long long bytes;
};

/* Replies come in the order of the calls: whose they are is kept in a ring. */
static struct job jobs[most];
static int asked[2 * most], first_asked, asked_count;

static void remember(int index) {
    asked[(first_asked + asked_count++) % (2 * most)] = index;
}

static void fetch_next(struct connection *connection, int index, const char *url, long number) {
    char numbered[1024];
    snprintf(numbered, sizeof numbered, "%s?%ld", url, number);
    jobs[index] = (struct job){.pipe = -1};
    call(connection, "Fetch", "url", numbered);
    remember(index);
}

static void run_jobs(struct connection *connection, long count, int inflight, long long size, const char *url) {
    static char buffer[64 << 10];
    static struct pollfd polled[most + 1];
    long started = 0, ended = 0;
    for (int i = 0; i < inflight && started < count; i++) fetch_next(connection, i, url, started++);
    while (ended < count) {
        polled[inflight] = (struct pollfd){.fd = connection->socket, .events = POLLIN};
        for (int i = 0; i < inflight; i++)
            polled[i] = (struct pollfd){.fd = jobs[i].id[0] != 0 ? jobs[i].pipe : -1, .events = POLLIN};
        if (poll(polled, (nfds_t)inflight + 1, 60000) <= 0) die("poll");
        for (int i = 0; i < inflight; i++) {
            if (polled[i].revents == 0) continue;
            ssize_t got = read(jobs[i].pipe, buffer, sizeof buffer);
            if (got < 0) die("read");
            jobs[i].bytes += got;
            if (got > 0) continue;
            close(jobs[i].pipe);
            jobs[i].pipe = -1;
            call(connection, "Wait", "id", jobs[i].id);
            remember(i);
        }
        if (polled[inflight].revents == 0) continue;
        receive(connection);
        const char *reply;
        while ((reply = next_reply(connection)) != NULL) {
            if (asked_count == 0) refuse("nothing was asked", reply);
            int index = asked[first_asked];
            first_asked = (first_asked + 1) % (2 * most);
            asked_count--;
            if (jobs[index].id[0] == 0) {
                if (connection->descriptor < 0) refuse("no descriptor", reply);
                copy_id(jobs[index].id, sizeof jobs[index].id, reply);
                jobs[index].pipe = connection->descriptor;
                connection->descriptor = -1;
            } else {
                check_outcome(reply, jobs[index].bytes, size);
                ended++;
                jobs[index] = (struct job){.pipe = -1};
                if (started < count) fetch_next(connection, index, url, started++);
            }
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

static void run_latency(struct connection *connection, long count, long long size, const char *url) {
    static char buffer[64 << 10];
    for (long i = 0; i < count; i++) {
        char id[128];
        long long begin = now();
        call(connection, "Fetch", "url", url);
        copy_id(id, sizeof id, answer(connection));
        ssize_t got = read(connection->descriptor, buffer, 1);
        long long first = now() - begin, bytes = 0;
        while (got > 0) {
            bytes += got;
            got = read(connection->descriptor, buffer, sizeof buffer);
        }
        close(connection->descriptor);
        call(connection, "Wait", "id", id);
        check_outcome(answer(connection), bytes, size);
        printf("%lld\n", first);
    }
}

int main(int count, char **arguments) {
    static struct connection connection;
    if (count < 6) return 2;
    connect_to(&connection, arguments[1]);
    if (strcmp(arguments[2], "jobs") == 0 && count == 7) {
        int inflight = atoi(arguments[4]);
        if (inflight < 1 || inflight > most) return 2;
        run_jobs(&connection, atol(arguments[3]), inflight, atoll(arguments[5]), arguments[6]);
    } else if (strcmp(arguments[2], "latency") == 0 && count == 6) {
        run_latency(&connection, atol(arguments[3]), atoll(arguments[4]), arguments[5]);
    } else {
        return 2;
    }
    return 0;
}
