// What a lane would try that a server has taken over: everything by which it could hurt the daemon, other lanes, other
// users or the machine. Included by the replica of such a lane (main.c) and by the library that is preloaded into a real
// one (Tests/System/sandbox/spy.c).
//
// An attempt changes nothing where it succeeds: limits and priorities are set to what they are, signals have the number 0.
// Each tells whether the kernel would have let it.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct escape_goal {
    pid_t other;            // a process of the same user
    const char *directory;  // of the service's, with a file `secret`; no slash at its end
    const char *stream;     // a listening Unix socket
    const char *datagrams;  // a Unix socket that takes datagrams from everybody
};

typedef void escape_say(const char *what, bool can);

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool opens_of(pid_t process, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process, name);
    return opens(path, flags);
}

// Where it is not allowed it fails with EPERM, or as if there were no such call.
static bool is_known(long result) { return result >= 0 || (errno != EPERM && errno != ENOSYS); }

// A descriptor that was to be had only where the kernel allows it.
static bool is_opened(long fd)
{
    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

static const char *inside(const char *directory, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

// ---- other processes ------------------------------------------------------

static bool sets_limit(pid_t process)
{
    struct rlimit limit;
    return syscall(SYS_prlimit64, process, RLIMIT_NOFILE, NULL, &limit) == 0
           && syscall(SYS_prlimit64, process, RLIMIT_NOFILE, &limit, NULL) == 0;
}

static bool sets_priority(pid_t process)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, (id_t)process);
    return syscall(SYS_setpriority, PRIO_PROCESS, process, errno == 0 ? now : 0) == 0;
}

static bool sets_scheduler(pid_t process)
{
    struct sched_param none = {0};
    long policy = syscall(SYS_sched_getscheduler, process);
    return syscall(SYS_sched_setscheduler, process, policy < 0 ? SCHED_OTHER : policy, &none) == 0;
}

static bool sets_schedule(pid_t process)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = 48};
    syscall(SYS_sched_getattr, process, &attributes, sizeof attributes, 0);
    return syscall(SYS_sched_setattr, process, &attributes, 0) == 0;
}

static bool sets_processors(pid_t process)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    syscall(SYS_sched_getaffinity, process, sizeof set, &set);
    if (CPU_COUNT(&set) == 0)
        CPU_SET(0, &set);
    return syscall(SYS_sched_setaffinity, process, sizeof set, &set) == 0;
}

static bool queues_signal(pid_t process, bool to_thread)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    return (to_thread ? syscall(SYS_rt_tgsigqueueinfo, process, process, 0, &info)
                      : syscall(SYS_rt_sigqueueinfo, process, 0, &info))
           == 0;
}

// pidfd_send_signal(2) takes a directory of /proc, too.
static bool signals_by_directory(pid_t process)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)process);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool can = syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0;
    is_opened(fd);
    return can;
}

// The kernel would signal the owner as soon as something came.
static bool signals_by_owner(pid_t process, bool by_ioctl)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    int owner = (int)process;
    bool can = by_ioctl ? ioctl(ends[0], FIOSETOWN, &owner) == 0 : fcntl(ends[0], F_SETOWN, owner) == 0;
    close(ends[0]);
    close(ends[1]);
    return can;
}

// An address that nobody has is found out about only where the access is allowed.
static bool reaches_memory(pid_t process, long call)
{
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)8, 1};
    return syscall(call, process, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT;
}

static bool watches_performance(pid_t process)
{
    uint32_t attributes[32] = {1, 128};  // PERF_TYPE_SOFTWARE, its size
    return is_opened(syscall(SYS_perf_event_open, attributes, process, -1, -1, 0));
}

static void try_others(pid_t other, escape_say *say)
{
    struct sched_param none = {0};
    struct rlimit limit;
    uint64_t nodes = 1;
    say("set another's limits", sets_limit(other));
    say("read another's limits", syscall(SYS_prlimit64, other, RLIMIT_NOFILE, NULL, &limit) == 0);
    say("set another's policy", sets_scheduler(other));
    say("set another's parameters", syscall(SYS_sched_setparam, other, &none) == 0);
    say("set another's schedule", sets_schedule(other));
    say("set another's processors", sets_processors(other));
    say("set another's priority", sets_priority(other));
    // Of a user and a group that are not there: what it set would hold for all of their processes.
    say("set a user's priority", is_known(syscall(SYS_setpriority, PRIO_USER, INT32_MAX - 1, 0)));
    say("set a group's priority", is_known(syscall(SYS_setpriority, PRIO_PGRP, INT32_MAX - 1, 0)));
    say("set another's disk priority", syscall(SYS_ioprio_set, 1, other, 2 << 13 | 4) == 0);
    say("move another's pages", syscall(SYS_move_pages, other, 0, NULL, NULL, NULL, 0) == 0);
    say("move all of another's pages", syscall(SYS_migrate_pages, other, 8, &nodes, &nodes) >= 0);
    say("signal another", kill(other, 0) == 0);
    say("signal all", kill(-1, 0) == 0);
    say("signal its own group", kill(0, 0) == 0);
    say("signal a thread", syscall(SYS_tkill, other, 0) == 0);
    say("signal another's thread", syscall(SYS_tgkill, other, other, 0) == 0);
    say("queue a signal", queues_signal(other, false));
    say("queue a signal to a thread", queues_signal(other, true));
    say("signal by a directory", signals_by_directory(other));
    say("have the kernel signal", signals_by_owner(other, false));
    say("have the kernel signal, by ioctl", signals_by_owner(other, true));
    say("hold another", is_opened(syscall(SYS_pidfd_open, other, 0)));
    say("trace another", ptrace(PTRACE_SEIZE, other, NULL, NULL) == 0);
    say("read another's memory by call", reaches_memory(other, SYS_process_vm_readv));
    say("write another's memory by call", reaches_memory(other, SYS_process_vm_writev));
    say("compare itself with another", syscall(SYS_kcmp, getpid(), other, 1, 0, 0) >= 0);
    say("watch another's performance", watches_performance(other));
    say("watch its own performance", watches_performance(0));
    say("read another's memory", opens_of(other, "mem", O_RDONLY));
    say("read another's mappings", opens_of(other, "maps", O_RDONLY));
    say("read another's environment", opens_of(other, "environ", O_RDONLY));
    say("list another's descriptors", opens_of(other, "fd", O_RDONLY | O_DIRECTORY) && opens_of(other, "fd/0", O_RDONLY));
    say("open another's descriptor", opens_of(other, "fd/1", O_RDONLY) || opens_of(other, "fd/2", O_RDONLY));
    say("write another's memory", opens_of(other, "mem", O_RDWR));
    say("offer another to the kernel", opens_of(other, "oom_score_adj", O_WRONLY));
    say("name another", opens_of(other, "comm", O_WRONLY));
}

// ---- sockets --------------------------------------------------------------

static bool has_socket(int family, int type, int protocol)
{
    return is_opened(socket(family, type | SOCK_CLOEXEC, protocol));
}

static bool connects(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    is_opened(fd);
    return can;
}

// A pair of sockets that are connected to each other, one of which is sent from to elsewhere.
static bool sends_datagram(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    bool can = sendto(ends[0], "", 0, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address) >= 0;
    // A stream without its peer is connected all the same.
    close(ends[1]);
    can = can || connect(ends[0], (struct sockaddr *)&address, sizeof address) == 0;
    close(ends[0]);
    return can;
}

static bool binds(int type, bool and_listens)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    bool can = (and_listens || bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
               && (!and_listens || listen(fd, 1) == 0);
    is_opened(fd);
    return can;
}

static bool sets_option(int level, int option, const void *value, socklen_t length)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = setsockopt(fd, level, option, value, length) == 0;
    is_opened(fd);
    return can;
}

static void try_sockets(const struct escape_goal *goal, escape_say *say)
{
    struct linger linger = {1, 20};
    uint64_t return_nothing = 6;  // BPF_RET | BPF_K
    struct {
        uint16_t count;
        void *code;
    } program = {1, &return_nothing};
    say("have a Unix socket", has_socket(AF_UNIX, SOCK_STREAM, 0));
    say("have a Unix socket for datagrams", has_socket(AF_UNIX, SOCK_DGRAM, 0));
    say("connect to the service", connects(goal->stream));
    say("write to the journal", sends_datagram(goal->datagrams, SOCK_DGRAM));
    say("write to the journal by a stream", sends_datagram(goal->stream, SOCK_STREAM));
    say("have a pair for packets", sends_datagram(goal->stream, SOCK_SEQPACKET));
    say("have a raw socket", has_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    say("have a socket for pings", has_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    say("have an MPTCP socket", has_socket(AF_INET, SOCK_STREAM, 262));
    say("have an SCTP socket", has_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
    say("have a packet socket", has_socket(AF_PACKET, SOCK_DGRAM, 0));
    say("have a VM's socket", has_socket(AF_VSOCK, SOCK_STREAM, 0));
    say("have a cipher's socket", has_socket(AF_ALG, SOCK_SEQPACKET, 0));
    say("have a netfilter socket", has_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
    say("have a generic netlink socket", has_socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
    say("bind", binds(SOCK_STREAM, false));
    say("bind for datagrams", binds(SOCK_DGRAM, false));
    say("listen", binds(SOCK_STREAM, true));
    say("have a socket that lingers", sets_option(SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    say("put a program on a socket", sets_option(SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

// ---- processes and the kernel ---------------------------------------------

static bool starts(unsigned long flags, bool another_program)
{
    pid_t child = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        if (another_program)
            execl("/bin/true", "true", NULL);
        _exit(another_program ? 1 : 0);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// A program that is not there is found out about only where the call is allowed.
static bool executes(long call)
{
    char *none[] = {NULL};
    long result = call == SYS_execve ? syscall(call, "/nonexistent", none, none)
                                     : syscall(call, AT_FDCWD, "/nonexistent", none, none, 0);
    return result == 0 || errno == ENOENT;
}

static bool has_memory(int first, int then)
{
    void *page = mmap(NULL, 4096, first, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = page != MAP_FAILED && (then == 0 || mprotect(page, 4096, then) == 0);
    if (page != MAP_FAILED)
        munmap(page, 4096);
    return can;
}

static bool grows_pipe(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    bool can = fcntl(ends[0], F_SETPIPE_SZ, 1 << 18) > 0;
    close(ends[0]);
    close(ends[1]);
    return can;
}

static void try_kernel(escape_say *say)
{
    struct rlimit limit = {0};
    uint64_t zeros[16] = {0};
    say("start a process", starts(0, false));
    say("start a process in a name space", starts(CLONE_NEWUSER, false));
    say("start a program", starts(0, true));
    say("become a program", executes(SYS_execve));
    say("become a program by descriptor", executes(SYS_execveat));
    say("start by clone3", is_known(syscall(SYS_clone3, NULL, 0)));
    say("leave its name spaces", syscall(SYS_unshare, CLONE_FS) == 0);
    say("enter a name space", is_known(syscall(SYS_setns, -1, 0)));
    say("have code that it wrote", has_memory(PROT_READ | PROT_WRITE | PROT_EXEC, 0));
    say("turn data into code", has_memory(PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC));
    say("have a memory file", is_opened(syscall(SYS_memfd_create, "", 0)));
    say("have memory that stays", is_known(syscall(SYS_shmget, 0x51a1, 0, 0)));
    say("grow a pipe", grows_pipe());
    getrlimit(RLIMIT_NOFILE, &limit);
    say("set its limits", setrlimit(RLIMIT_NOFILE, &limit) == 0);
    say("raise its limits", limit.rlim_max > 256);
    getrlimit(RLIMIT_CORE, &limit);
    say("have a core dumped", limit.rlim_max > 0 || is_known(syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 7, 0, 0, 0)));
    say("set its policy", sets_scheduler(0));
    say("load a program into the kernel", is_known(syscall(SYS_bpf, -1, NULL, 0)));
    say("have a ring of calls", is_known(syscall(SYS_io_uring_setup, 0, NULL)));
    say("handle faults", is_opened(syscall(SYS_userfaultfd, 1)));
    say("look for a key", is_known(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0)));
    say("add a key", is_known(syscall(SYS_add_key, "user", "", NULL, 0, -3)));
    say("request a key", is_known(syscall(SYS_request_key, "user", "sluice", NULL, 0)));
    say("mount", is_known(syscall(SYS_mount, NULL, "/nonexistent", NULL, 0, NULL)));
    say("open a file by openat2", is_known(syscall(SYS_openat2, AT_FDCWD, "/", zeros, 24)));
    say("have another personality", is_known(syscall(SYS_personality, 0xffffffff)));
    say("name a file by handle", is_known(syscall(SYS_name_to_handle_at, -1, "", zeros, zeros, 0)));
    say("lock a ruleset of its own", is_known(syscall(SYS_landlock_create_ruleset, NULL, 0, 1)));
}

// ---- files ----------------------------------------------------------------

static void try_files(const char *directory, escape_say *say)
{
    struct stat status;
    int ends[2];
    say("write a file", opens(inside(directory, "spy"), O_RDWR | O_CREAT));
    say("write a file without a name", opens(directory, O_RDWR | O_TMPFILE));
    say("write into /tmp", opens("/tmp/sluice-spy", O_RDWR | O_CREAT));
    say("write into /dev/shm", opens("/dev/shm/sluice-spy", O_RDWR | O_CREAT));
    unlink("/tmp/sluice-spy");
    unlink("/dev/shm/sluice-spy");
    say("write /dev/null", opens("/dev/null", O_WRONLY));
    say("make a directory", mkdir(inside(directory, "spies"), 0700) == 0);
    say("make a link", symlink("/", inside(directory, "link")) == 0);
    say("make a FIFO", mkfifo(inside(directory, "fifo"), 0600) == 0);
    say("change a mode", chmod(directory, stat(directory, &status) == 0 ? status.st_mode & 07777 : 0700) == 0);
    say("shorten a file", truncate(inside(directory, "empty"), 0) == 0);
    say("remove a file", unlink(inside(directory, "removable")) == 0);
    say("read a file", opens(inside(directory, "secret"), O_RDONLY));
    say("list a directory", opens(directory, O_RDONLY | O_DIRECTORY));
    // The pipes of jobs are the service's.
    bool has_pipe = pipe2(ends, O_CLOEXEC) == 0;
    say("change a pipe's mode", has_pipe && fchmod(ends[0], 0666) == 0);
    if (has_pipe) {
        close(ends[0]);
        close(ends[1]);
    }
}

static void try_everything(const struct escape_goal *goal, escape_say *say)
{
    try_others(goal->other, say);
    try_sockets(goal, say);
    try_kernel(say);
    try_files(goal->directory, say);
    say("read /etc/hosts", opens("/etc/hosts", O_RDONLY));
}
