#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert((int)CUNIX_RLIMIT_CORE == (int)RLIMIT_CORE && (int)CUNIX_RLIMIT_NOFILE == (int)RLIMIT_NOFILE
                   && (int)CUNIX_RLIMIT_DATA == (int)RLIMIT_DATA,
               "the limits are the kernel's");

int cunix_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int cunix_pidfd_send_signal(int pidfd, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

// The child's half of cunix_spawn: async-signal-safe calls only.
static void become(const char *path, char *const argv[], char *const envp[], const int wanted[4],
                   int report, bool new_session)
{
    int moved[4];
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (new_session)
        setsid();
    // Moves all descriptors above 4 first, so that no dup2(2) replaces one that is still needed.
    for (int i = 0; i < 4; i++) {
        int fd = wanted[i];
        if (fd < 0 && i < 3)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 5);
        if (fd >= 0 && moved[i] < 0)
            goto failed;
    }
    int high_report = fcntl(report, F_DUPFD_CLOEXEC, 5);
    if (high_report < 0)
        goto failed;
    report = high_report;
    for (int i = 0; i < 4; i++) {
        if (moved[i] >= 0 && dup2(moved[i], i) < 0)
            goto failed;
    }
    if (dup2(report, 4) < 0 || fcntl(4, F_SETFD, FD_CLOEXEC) < 0)
        goto failed;
    report = 4;
    if (moved[3] < 0)
        close(3);
    syscall(SYS_close_range, 5U, ~0U, 0U);
    execve(path, argv, envp);
failed:;
    int error = errno;
    ssize_t ignored = write(report, &error, sizeof error);
    (void)ignored;
    _exit(127);
}

pid_t cunix_spawn(const char *path, char *const argv[], char *const envp[], int standard_input,
                  int standard_output, int standard_error, int control_fd, bool new_session)
{
    const int wanted[4] = {standard_input, standard_output, standard_error, control_fd};
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return -1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        become(path, argv, envp, wanted, report[1], new_session);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        errno = saved;
        return -1;
    }
    int error = 0;
    ssize_t n;
    do
        n = read(report[0], &error, sizeof error);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == sizeof error) {
        waitpid(pid, NULL, 0);
        errno = error;
        return -1;
    }
    return pid;
}

int cunix_processors(void)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) < 0)
        return -1;
    return CPU_COUNT(&mask);
}

void cunix_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int cunix_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

static int open_status(pid_t pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

// The middle process is what makes the child an orphan. clone(2) with CLONE_PARENT would do without it, but the C library
// would not know about the new process: its cached thread IDs would be the parent's.
struct cunix_orphan cunix_fork_orphan(const char *name)
{
    struct cunix_orphan orphan = {.pid = -1, .status = -1, .go = -1};
    int report[2], go[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return orphan;
    if (pipe2(go, O_CLOEXEC) < 0) {
        int saved = errno;
        close(report[0]);
        close(report[1]);
        errno = saved;
        return orphan;
    }
    pid_t middle = fork();
    if (middle == 0) {
        // The child's name from its first moment on.
        prctl(PR_SET_NAME, name, 0, 0, 0);
        pid_t child = fork();
        if (child == 0) {
            close(report[0]);
            close(report[1]);
            close(go[1]);
            char byte;
            ssize_t n;
            do
                n = read(go[0], &byte, 1);
            while (n < 0 && errno == EINTR);
            // The parent has ended before it had let the child go.
            if (n != 1)
                _exit(0);
            close(go[0]);
            orphan.pid = 0;
            return orphan;
        }
        if (child < 0)
            child = -errno;
        ssize_t ignored = write(report[1], &child, sizeof child);
        (void)ignored;
        _exit(0);
    }
    int saved = errno;
    close(report[1]);
    close(go[0]);
    pid_t child = -EIO;  // the middle process was killed before it had written
    if (middle < 0) {
        child = -saved;
    } else {
        ssize_t n;
        do
            n = read(report[0], &child, sizeof child);
        while (n < 0 && errno == EINTR);
        // Only then is the child somebody else's.
        while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(report[0]);
    if (child < 0) {
        close(go[1]);
        errno = -child;
        return orphan;
    }
    orphan.pid = child;
    // The child has not hidden itself yet.
    orphan.status = open_status(child);
    orphan.go = go[1];
    return orphan;
}

void cunix_become_child(int standard_error, int control)
{
    setsid();
    // Both are above 3, since the caller has 0 to 3 open.
    if (dup2(standard_error, 2) < 0 || dup2(control, 3) < 0)
        _exit(127);
    syscall(SYS_close_range, 4U, ~0U, 0U);
}

int cunix_reap(int pidfd, int *code, int *status)
{
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        return -1;
    if (info.si_pid == 0)
        return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

void cunix_schedule_as_batch(void)
{
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH, &none);
}

int cunix_set_limit(int resource, uint64_t soft_and_hard)
{
    struct rlimit limit = {soft_and_hard, soft_and_hard};
    return setrlimit(resource, &limit);
}
