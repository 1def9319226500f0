// Keeps the programs that a test process starts apart from the tests of descriptors' ends.
//
// A child has a copy of every descriptor of its parent until its execve(2). Meanwhile the end of a descriptor is
// invisible: no end of file, no hang-up, no EPIPE, no lock given back. Whoever looks for one at that moment sees the
// opposite of what holds. So this file takes fork(3) and posix_spawn(3) over for the whole test process (symbols of
// the executable come before libc's, for Swift's libraries, too) and lets a start wait while a test *holds* the forks,
// and a test that wants to hold them wait for the starts that are under way.
//
// fork(3): under way until the child has closed what it inherited, which is its execve(2) at the latest.
// posix_spawn(3): the parent's thread sleeps until the execve(2) (CLONE_VFORK), so the call itself is the stretch.
#define _GNU_SOURCE
#include "CTestKit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A start that waits for longer goes on all the same: a test that holds the forks and waits for a program that
// another thread starts must become slow, not stuck.
enum { PATIENCE_SECONDS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned forking, forks_waiting, holding, holds_waiting;
// Whose turn is next where both wait, so that neither waits for a crowd of the other.
static enum { FORKS, HOLDS } turn = FORKS;
struct ctestkit_hold {
    atomic_bool is_over;
};
// The last hold that this thread has begun: a test that holds the forks may start programs itself. It may be ended by
// another thread, so it is never freed: a few bytes for each test.
static _Thread_local struct ctestkit_hold *own_hold;

static struct timespec in_milliseconds(long milliseconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += milliseconds / 1000;
    time.tv_nsec += milliseconds % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static bool fork_may_begin(void) { return holding == 0 && !(holds_waiting > 0 && turn == HOLDS); }
// A hold joins one that is there, so that a test may hold the forks twice; else it leaves the turn to a start that waits.
static bool hold_may_begin(void)
{
    return forking == 0 && (holding > 0 || !(forks_waiting > 0 && turn == FORKS));
}

static bool wait_until(bool (*may_begin)(void), unsigned *waiting, long milliseconds)
{
    struct timespec end = in_milliseconds(milliseconds);
    int result = 0;
    ++*waiting;
    while (!may_begin() && result != ETIMEDOUT)
        result = pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &end);
    --*waiting;
    return may_begin();
}

static void fork_begins(void)
{
    pthread_mutex_lock(&lock);
    bool is_own = own_hold != NULL && !atomic_load(&own_hold->is_over);
    if (!is_own && !wait_until(fork_may_begin, &forks_waiting, PATIENCE_SECONDS * 1000L))
        fputs("a program is started although a test keeps programs from starting\n", stderr);
    forking++;
    turn = HOLDS;
    pthread_mutex_unlock(&lock);
}

static void fork_ends(void)
{
    pthread_mutex_lock(&lock);
    forking--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

struct ctestkit_hold *ctestkit_forks_hold(void)
{
    struct ctestkit_hold *hold = calloc(1, sizeof *hold);
    if (hold == NULL)
        abort();
    pthread_mutex_lock(&lock);
    // Held also where a start takes too long: those that come meanwhile wait.
    if (!wait_until(hold_may_begin, &holds_waiting, PATIENCE_SECONDS * 1000L))
        fputs("a test of descriptors' ends runs beside the start of a program\n", stderr);
    holding++;
    turn = FORKS;
    pthread_mutex_unlock(&lock);
    if (own_hold == NULL || atomic_load(&own_hold->is_over))
        own_hold = hold;
    return hold;
}

void ctestkit_forks_release(struct ctestkit_hold *hold)
{
    if (atomic_exchange(&hold->is_over, true))
        return;
    pthread_mutex_lock(&lock);
    holding--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

// ---- what is taken over ----------------------------------------------------

static pid_t (*real_fork)(void);
typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);
static spawn_function *real_spawn, *real_spawn_in_path;

__attribute__((constructor)) static void find(void)
{
    real_fork = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
    real_spawn = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawn");
    real_spawn_in_path = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawnp");
    if (!real_fork || !real_spawn || !real_spawn_in_path)
        abort();
}

pid_t fork(void)
{
    // Its end tells that the child has closed its copies.
    int copies[2];
    if (pipe2(copies, O_CLOEXEC) < 0)
        return -1;
    fork_begins();
    pid_t pid = real_fork();
    if (pid == 0)
        return 0;
    int saved = errno;
    close(copies[1]);
    if (pid > 0) {
        struct pollfd end = {.fd = copies[0], .events = 0};
        while (poll(&end, 1, PATIENCE_SECONDS * 1000) < 0 && errno == EINTR)
            ;
    }
    close(copies[0]);
    fork_ends();
    errno = saved;
    return pid;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    fork_begins();
    int result = real_spawn(pid, path, actions, attributes, arguments, environment);
    fork_ends();
    return result;
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    fork_begins();
    int result = real_spawn_in_path(pid, file, actions, attributes, arguments, environment);
    fork_ends();
    return result;
}

// ---- a known piece of work -------------------------------------------------

static int64_t nanoseconds_since(struct timespec start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start.tv_sec) * 1000000000LL + (now.tv_nsec - start.tv_nsec);
}

int64_t ctestkit_time_computing(void)
{
    enum { BYTES = 64 << 10, TIMES = 400 };
    static _Thread_local unsigned char bytes[BYTES];
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < TIMES; i++)
        ctestkit_pattern_fill(bytes[0], (uint64_t)i, bytes, BYTES);
    return nanoseconds_since(start);
}

int64_t ctestkit_time_starting(void)
{
    char *arguments[] = {"true", NULL};
    char *environment[] = {NULL};
    struct timespec start;
    pid_t pid;
    fork_begins();
    clock_gettime(CLOCK_MONOTONIC, &start);
    int result = real_spawn(&pid, "/bin/true", NULL, NULL, arguments, environment);
    fork_ends();
    if (result != 0)
        return -1;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return nanoseconds_since(start);
}
