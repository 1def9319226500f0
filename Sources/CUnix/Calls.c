// The system calls that a lane may still make: a filter for seccomp(2), as a list of the calls that fetching needs.
//
// The list was measured (strace(1) of every kind of fetch, with the versions of glibc, OpenSSL and libcurl in several
// distributions in mind). It says for each call which arguments are harmless to other processes. Every other call
// fails: with EPERM if the kernel had it when this was written, with ENOSYS if it came later, so that a library that
// tries a new call falls back to an old one. No process is killed for a refused call, because libraries probe.
//
// A filter sees the argument values only, never the memory that a pointer points to. Calls whose arguments lie in
// memory (clone3, openat2) are therefore absent, and the C library takes the older ones.
//
// The cost: from Linux 5.11 on the kernel determines at installation which calls are allowed with any arguments, and
// does not run the filter for them. For older kernels the calls of a transfer come first.
#define _GNU_SOURCE
#include "Confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCHITECTURE

// The newest call that is refused with EPERM: set_mempolicy_home_node of Linux 5.17. Calls as new as this one have the
// same number on all architectures.
enum { NEWEST_KNOWN_CALL = 450 };
// The first number of the x32 ABI, which is a second way to all system calls of x86-64.
enum { FIRST_X32_CALL = 0x40000000 };
// Constants of the kernel that some headers lack.
enum { NAME_MEMORY = 0x53564d41 };  // PR_SET_VMA
enum { NETLINK_ADDRESS = 12 };     // sizeof(struct sockaddr_nl), less than any Internet address

// ---- a small language -----------------------------------------------------
//
// The call's number is in the accumulator at the beginning of each rule. A rule for another call jumps over itself; a
// rule for this call ends with a verdict. A rule may therefore load other values into the accumulator.

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// Both architectures store the low half of an argument first.
#define LOW(argument) LOAD(args[argument])
#define HIGH(argument) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[argument]) + 4)
#define KEEP(bits) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (bits))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))

#define COUNT(...) (sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter))
#define WHERE(value, ...) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, COUNT(__VA_ARGS__)), __VA_ARGS__
#define UNLESS(value, ...) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), COUNT(__VA_ARGS__), 0), __VA_ARGS__
#define WHERE_ANY_BIT(bits, ...) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, COUNT(__VA_ARGS__)), __VA_ARGS__
#define UNLESS_ANY_BIT(bits, ...) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), COUNT(__VA_ARGS__), 0), __VA_ARGS__
#define WHERE_AT_LEAST(value, ...) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), 0, COUNT(__VA_ARGS__)), __VA_ARGS__

#define RULE(call, ...) WHERE(__NR_##call, __VA_ARGS__)
#define ALLOWED(call) RULE(call, ALLOW)
#define ALLOWED_VALUE(value) WHERE(value, ALLOW)

// Only existing files may be opened, for reading. Landlock restricts which; this rule applies without Landlock, too.
#define FOR_READING(flags) \
    LOW(flags), WHERE_ANY_BIT(O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), REFUSE(EACCES)), ALLOW

// Only TCP and UDP sockets of the Internet families.
#define INTERNET_SOCKET \
    LOW(1), KEEP(0xf), WHERE(SOCK_STREAM, LOW(2), ALLOWED_VALUE(0), ALLOWED_VALUE(IPPROTO_TCP), REFUSE(EACCES)), \
        WHERE(SOCK_DGRAM, LOW(2), ALLOWED_VALUE(0), ALLOWED_VALUE(IPPROTO_UDP), REFUSE(EACCES)), REFUSE(EACCES)

// Stands for the number of this process, which is filled in at installation.
enum { OWN_PROCESS = 0x7fffffff };

static const struct sock_filter rules[] = {
    LOAD(arch),
    UNLESS(NATIVE_ARCHITECTURE, RETURN(SECCOMP_RET_KILL_PROCESS)),
    LOAD(nr),
#ifdef __x86_64__
    WHERE_AT_LEAST(FIRST_X32_CALL, REFUSE(ENOSYS)),
#endif

    // A transfer.
    ALLOWED(recvfrom),
    ALLOWED(splice),
    ALLOWED(read),
    ALLOWED(writev),
    ALLOWED(futex),
    ALLOWED(epoll_ctl),
    ALLOWED(epoll_pwait),
    ALLOWED(timerfd_settime),
    ALLOWED(write),
    ALLOWED(sendto),
    ALLOWED(recvmsg),
    ALLOWED(sendmsg),
    ALLOWED(ppoll),
    ALLOWED(gettid),
    ALLOWED(getpid),
#ifdef __x86_64__
    ALLOWED(epoll_wait),
    ALLOWED(poll),
#endif
    ALLOWED(close),
    ALLOWED(getsockopt),
    ALLOWED(getsockname),
    ALLOWED(getpeername),
    ALLOWED(newfstatat),
    ALLOWED(madvise),
    ALLOWED(munmap),
    ALLOWED(rt_sigprocmask),

    // Memory. No memory may be writable and executable, at the same time or in turn, as with the unit's
    // MemoryDenyWriteExecute=.
    ALLOWED(brk),
    ALLOWED(mremap),
    RULE(mmap, LOW(2), KEEP(PROT_WRITE | PROT_EXEC), WHERE(PROT_WRITE | PROT_EXEC, REFUSE(EPERM)), ALLOW),
    RULE(mprotect, LOW(2), WHERE_ANY_BIT(PROT_EXEC, REFUSE(EPERM)), ALLOW),

    // Descriptors. A pipe cannot be grown, because the kernel counts the capacity of pipes for all processes of the
    // user.
    ALLOWED(epoll_create1),
    ALLOWED(epoll_pwait2),
    ALLOWED(eventfd2),
    ALLOWED(timerfd_create),
    ALLOWED(timerfd_gettime),
    ALLOWED(pselect6),
    ALLOWED(readv),
    ALLOWED(pread64),
    ALLOWED(lseek),
    ALLOWED(pipe2),
    ALLOWED(close_range),
#ifdef __x86_64__
    ALLOWED(pipe),
    ALLOWED(select),
#endif
    // F_SETOWN and F_SETSIG are refused: with them the kernel would send any signal to another process of the user.
    RULE(fcntl, LOW(1), ALLOWED_VALUE(F_GETFL), ALLOWED_VALUE(F_SETFL), ALLOWED_VALUE(F_GETFD), ALLOWED_VALUE(F_SETFD),
         ALLOWED_VALUE(F_SETLK), ALLOWED_VALUE(F_GETLK), ALLOWED_VALUE(F_DUPFD), ALLOWED_VALUE(F_DUPFD_CLOEXEC),
         ALLOWED_VALUE(F_GETPIPE_SZ), ALLOWED_VALUE(F_GET_SEALS), REFUSE(EPERM)),
    // FIOSETOWN is refused, and so are the requests of terminals and devices. TCGETS is for isatty(3), SIOCGIF* are for
    // the names of interfaces.
    RULE(ioctl, LOW(1), ALLOWED_VALUE(FIONREAD), ALLOWED_VALUE(TIOCOUTQ), ALLOWED_VALUE(FIONBIO),
         ALLOWED_VALUE(FIOCLEX), ALLOWED_VALUE(TCGETS), ALLOWED_VALUE(SIOCGIFNAME), ALLOWED_VALUE(SIOCGIFINDEX),
         REFUSE(ENOTTY)),

    // Files.
    RULE(openat, FOR_READING(2)),
    ALLOWED(getdents64),
    ALLOWED(fstat),
    ALLOWED(statx),
    ALLOWED(statfs),
    ALLOWED(fstatfs),
    ALLOWED(faccessat),
    ALLOWED(faccessat2),
    ALLOWED(readlinkat),
    ALLOWED(getcwd),
    ALLOWED(fadvise64),
#ifdef __x86_64__
    RULE(open, FOR_READING(1)),
    ALLOWED(stat),
    ALLOWED(lstat),
    ALLOWED(access),
    ALLOWED(readlink),
#endif

    // Sockets to the network, and to the kernel for getaddrinfo(3). Unix-domain sockets are refused, because they lead
    // to the service's own socket, to the bus and to the journal. libcurl wakes itself through a socket pair. From a
    // pair of datagram sockets a lane could send to any address (sendto(2)), from a pair of stream sockets it cannot.
    // Name lookups work without nscd and systemd-resolved.
    RULE(socket, LOW(0), WHERE(AF_INET, INTERNET_SOCKET), WHERE(AF_INET6, INTERNET_SOCKET),
         WHERE(AF_NETLINK, LOW(2), ALLOWED_VALUE(NETLINK_ROUTE), REFUSE(EACCES)), REFUSE(EAFNOSUPPORT)),
    RULE(socketpair, LOW(0), UNLESS(AF_UNIX, REFUSE(EAFNOSUPPORT)), LOW(1), KEEP(0xf), ALLOWED_VALUE(SOCK_STREAM),
         REFUSE(EACCES)),
    ALLOWED(connect),
    ALLOWED(shutdown),
    ALLOWED(sendmmsg),
    // Only netlink sockets need bind(2). Their addresses are shorter than those of the Internet families, so the length
    // distinguishes them. A lane never binds an Internet socket: it only connects.
    RULE(bind, LOW(2), ALLOWED_VALUE(NETLINK_ADDRESS), REFUSE(EACCES)),
    // SO_LINGER in particular is refused: if a lane passed a lingering socket to the daemon, close(2) would block the
    // daemon.
    RULE(setsockopt, LOW(1),
         WHERE(SOL_SOCKET, LOW(2), ALLOWED_VALUE(SO_KEEPALIVE), ALLOWED_VALUE(SO_REUSEADDR), ALLOWED_VALUE(SO_SNDBUF),
               ALLOWED_VALUE(SO_RCVBUF), ALLOWED_VALUE(SO_PRIORITY), ALLOWED_VALUE(SO_RCVTIMEO),
               ALLOWED_VALUE(SO_SNDTIMEO), REFUSE(EPERM)),
         WHERE(IPPROTO_TCP, LOW(2), WHERE(TCP_ULP, REFUSE(ENOENT)), WHERE(TCP_REPAIR, REFUSE(EPERM)), ALLOW),
         ALLOWED_VALUE(IPPROTO_IP), ALLOWED_VALUE(IPPROTO_IPV6), ALLOWED_VALUE(SOL_NETLINK), REFUSE(EPERM)),

    // Threads are allowed, new processes are not.
    RULE(clone, LOW(0),
         WHERE_ANY_BIT(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID
                           | CLONE_NEWNET | CLONE_PTRACE,
                       REFUSE(EPERM)),
         UNLESS_ANY_BIT(CLONE_THREAD, REFUSE(EPERM)), ALLOW),
    WHERE(__NR_clone3, REFUSE(ENOSYS)),
    ALLOWED(set_robust_list),
    ALLOWED(rseq),
    ALLOWED(exit),
    ALLOWED(exit_group),
    ALLOWED(sched_yield),
    ALLOWED(sched_getaffinity),
    ALLOWED(getcpu),
    // The process may read its own limits, and set none.
    RULE(prlimit64, LOW(0), UNLESS(0, REFUSE(EPERM)), LOW(2), UNLESS(0, REFUSE(EPERM)), HIGH(2),
         UNLESS(0, REFUSE(EPERM)), ALLOW),
    ALLOWED(getrlimit),
    // Dispatch sets the priority of its own threads, and works without that if it is refused.
    RULE(setpriority, LOW(0), UNLESS(PRIO_PROCESS, REFUSE(EPERM)), LOW(1), UNLESS(0, REFUSE(EPERM)), ALLOW),
    RULE(prctl, LOW(0), ALLOWED_VALUE(PR_SET_NAME), ALLOWED_VALUE(PR_GET_NAME), ALLOWED_VALUE(PR_GET_DUMPABLE),
         ALLOWED_VALUE(NAME_MEMORY), REFUSE(EPERM)),

    // Signals to this process only, for abort(3).
    RULE(tgkill, LOW(0), UNLESS(OWN_PROCESS, REFUSE(EPERM)), ALLOW),
    ALLOWED(rt_sigaction),
    ALLOWED(rt_sigreturn),
    ALLOWED(sigaltstack),
    ALLOWED(restart_syscall),

    // Time, random numbers, and the identity of the process.
    ALLOWED(clock_gettime),
    ALLOWED(clock_getres),
    ALLOWED(clock_nanosleep),
    ALLOWED(nanosleep),
    ALLOWED(gettimeofday),
    ALLOWED(getrandom),
    ALLOWED(getrusage),
    ALLOWED(times),
    ALLOWED(sysinfo),
    ALLOWED(uname),
    ALLOWED(getuid),
    ALLOWED(geteuid),
    ALLOWED(getgid),
    ALLOWED(getegid),
    ALLOWED(getppid),
#ifdef __x86_64__
    ALLOWED(time),
#endif

    // The arguments of openat2(2) lie in memory.
    WHERE(__NR_openat2, REFUSE(ENOSYS)),
    WHERE_AT_LEAST(NEWEST_KNOWN_CALL + 1, REFUSE(ENOSYS)),
    REFUSE(EPERM),
};

enum { RULES = sizeof rules / sizeof *rules };

bool restrict_calls(void)
{
    struct sock_filter filter[RULES];
    struct sock_fprog program = {.len = RULES, .filter = filter};
    for (size_t i = 0; i < RULES; i++) {
        filter[i] = rules[i];
        if (filter[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && filter[i].k == OWN_PROCESS)
            filter[i].k = (uint32_t)getpid();
    }
    // The filter is for all threads, if there are others. If another filter (of the unit) refuses seccomp(2), prctl(2)
    // installs it for this thread.
    if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
        return true;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#else
bool restrict_calls(void) { return false; }
#endif
