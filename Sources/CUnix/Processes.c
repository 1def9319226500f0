#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

// What the processes between cunix_fork_orphan and its child's function share.
struct orphan_fork {
    const char *name;
    void (*run)(void *context);
    void *context;
    int ends[2];  // the caller's and the child's
    pid_t child;  // or -errno
};

// Gives the caller the child's status file, and waits to be let go.
static void wait_to_be_let_go(int end)
{
    int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char byte = 0;
    cunix_send(end, &byte, 1, &status, status < 0 ? 0 : 1, false);
    if (status >= 0)
        close(status);
    ssize_t n;
    do
        n = read(end, &byte, 1);
    while (n < 0 && errno == EINTR);
    // The caller has ended before it had let the child go.
    if (n != 1)
        _exit(CUNIX_NEVER_LET_GO);
    close(end);
}

// Runs in the caller's memory, on a stack of its own, while the caller waits. Only the child's memory is a copy. A
// clone(2) with CLONE_PARENT would need no process in between, but the C library would not know about the new process:
// its cached thread IDs would be the caller's. _Fork(3) tells it.
static int run_middle(void *argument)
{
    struct orphan_fork *fork = argument;
    pid_t child = _Fork();
    if (child == 0) {
        prctl(PR_SET_NAME, fork->name, 0, 0, 0);
        close(fork->ends[0]);
        wait_to_be_let_go(fork->ends[1]);
        fork->run(fork->context);
        _exit(127);
    }
    fork->child = child < 0 ? -errno : child;
    return 0;
}

struct cunix_orphan cunix_fork_orphan(const char *name, void (*run)(void *context), void *context)
{
    // The child goes on using its copy as the stack of its main thread.
    static char stack[256 << 10] __attribute__((aligned(16)));
    struct cunix_orphan orphan = {.pid = -1, .status = -1, .go = -1};
    // -EIO: the process in between was killed before it had forked.
    struct orphan_fork fork = {.name = name, .run = run, .context = context, .child = -EIO};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fork.ends) < 0)
        return orphan;
    // CLONE_VFORK: the caller does not run in the memory that both use until the other has ended.
    pid_t middle = clone(run_middle, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &fork);
    int saved = errno;
    close(fork.ends[1]);
    if (middle < 0) {
        fork.child = -saved;
    } else {
        // With the end of its parent the child gets another one.
        while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (fork.child < 0) {
        close(fork.ends[0]);
        errno = -fork.child;
        return orphan;
    }
    orphan.pid = fork.child;
    orphan.go = fork.ends[0];
    char byte;
    size_t count = 1;
    bool truncated;
    while (cunix_receive(orphan.go, &byte, 1, &orphan.status, &count, &truncated, false) < 0 && errno == EINTR)
        ;
    if (count == 0)
        orphan.status = -1;
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
