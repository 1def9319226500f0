/* first-byte COUNT SIZE COMMAND ARGUMENT...: starts the command COUNT times, one after another, and prints for each
   how many nanoseconds passed from the start to the first byte of its standard output. The rest is read and counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **arguments) {
    if (count < 4) return 2;
    static char buffer[64 << 10];
    long repetitions = atol(arguments[1]);
    long long size = atoll(arguments[2]);
    for (long i = 0; i < repetitions; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) return 1;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        long long begin = now();
        pid_t child;
        if (posix_spawnp(&child, arguments[3], &actions, NULL, arguments + 3, environ) != 0) return 1;
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        ssize_t got = read(ends[0], buffer, 1);
        long long first = now() - begin;
        long long bytes = 0;
        while (got > 0) {
            bytes += got;
            got = read(ends[0], buffer, sizeof buffer);
        }
        close(ends[0]);
        int status;
        waitpid(child, &status, 0);
        if (bytes != size || status != 0) {
            fprintf(stderr, "%lld bytes, status %d\n", bytes, status);
            return 1;
        }
        printf("%lld\n", first);
    }
    return 0;
}
