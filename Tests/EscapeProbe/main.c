// A replica of a lane that a server has taken over. It locks itself in as lanes do, then tries what they must not be able
// to do, and says of each on its standard output: `can SOMETHING` or `cannot SOMETHING`.
//
//   escape-probe wait KERNEL                      waits for the end of its standard input, in the place of the daemon
//                                                 (KERNEL `free`: not locked in) or of another lane
//   escape-probe try KERNEL PID DIRECTORY STREAM DATAGRAMS
//   escape-probe abort KERNEL                     ends by abort(3)
//   escape-probe i386 KERNEL                      makes a system call of another machine's
//   escape-probe time KERNEL                      says what 1,000,000 calls of read(2) take, in nanoseconds each
//
// KERNEL is the version of Landlock that is used: `any`, a number, 0 for none; `free` locks nothing.
#define _GNU_SOURCE
#include "CUnix.h"
#include "attempts.h"

#include <netdb.h>
#include <pthread.h>
#include <time.h>

static void say(const char *what, bool can) { printf("%s %s\n", can ? "can" : "cannot", what); }

static void *say_nothing(void *argument) { return argument; }

// What a lane needs, else the lock would be easy.
static void try_fetching(void)
{
    pthread_t thread;
    struct addrinfo *found = NULL, wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int ends[2];
    bool can = pthread_create(&thread, NULL, say_nothing, NULL) == 0;
    if (can)
        pthread_join(thread, NULL);
    say("start a thread", can);
    say("look a name up", getaddrinfo("localhost", "80", &wanted, &found) == 0);
    say("have a socket", has_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) && has_socket(AF_INET6, SOCK_DGRAM, 0));
    say("have a pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
}

static void lock_in(const char *kernel)
{
    if (strcmp(kernel, "free") == 0)
        return;
    int done = cunix_confine_lane(256, strcmp(kernel, "any") == 0 ? CUNIX_ANY_LANDLOCK : atoi(kernel));
    printf("confined %d\n", done);
}

static long nanoseconds_of_read(void)
{
    enum { TIMES = 1000000 };
    struct timespec start, end;
    char byte;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < TIMES; i++)
        syscall(SYS_read, -1, &byte, 1);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec) / TIMES;
}

static void call_as_i386(void)
{
#ifdef __x86_64__
    long result = 20;  // getpid
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    printf("can make a call of another machine's: %ld\n", result);
#else
    abort();
#endif
}

int main(int count, char **arguments)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count < 3)
        return 64;
    const char *what = arguments[1];
    lock_in(arguments[2]);
    if (strcmp(what, "wait") == 0) {
        char byte;
        // As the daemon does where there is no Landlock.
        cunix_hide_from_user();
        puts("ready");
        while (read(0, &byte, 1) > 0)
            ;
    } else if (strcmp(what, "abort") == 0) {
        abort();
    } else if (strcmp(what, "i386") == 0) {
        call_as_i386();
    } else if (strcmp(what, "time") == 0) {
        printf("%ld\n", nanoseconds_of_read());
    } else if (strcmp(what, "try") == 0 && count == 7) {
        struct escape_goal goal = {atoi(arguments[3]), arguments[4], arguments[5], arguments[6]};
        try_everything(&goal, say);
        try_fetching();
        puts("end");
    } else {
        return 64;
    }
    return 0;
}
