// What a lane gives up before it hears from anybody outside: see cunix_confine_lane in CUnix.h.
//
// The numbers are the kernel's interface and written out, because the headers that a machine has may be older than the
// kernel that it runs.
#define _GNU_SOURCE
#include "CUnix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// ---- files: landlock(7) ---------------------------------------------------

// From Linux 5.13 on these three have the same numbers everywhere.
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
enum { LANDLOCK_VERSION = 1, LANDLOCK_PATH_BENEATH = 1 };
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define NET_BIND_TCP (1ULL << 0)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)

struct landlock_ruleset {
    uint64_t fs, net, scoped;
};
struct landlock_path {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static void allow(int ruleset, const char *path, uint64_t rights)
{
    struct stat status;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;  // What is not there needs no permission.
    if (fstat(fd, &status) == 0) {
        if (!S_ISDIR(status.st_mode))
            rights &= ~FS_READ_DIR;
        struct landlock_path rule = {.allowed = rights, .parent = fd};
        syscall(LANDLOCK_ADD, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    }
    close(fd);
}

// The directory in which a file is that others replace, and that may be a link to elsewhere: a rule for the file itself
// would go with its old version.
static void allow_directory_of(int ruleset, const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return;
    char *slash = strrchr(real, '/');
    if (slash == NULL || slash == real)
        return;
    *slash = '\0';
    allow(ruleset, real, FS_READ_FILE | FS_READ_DIR);
}

static bool restrict_files(void)
{
    // What the resolver, the trust store, OpenSSL and the dynamic loader read.
    static const char *const directories[] = {
        "/etc", "/usr", "/lib", "/lib64", "/proc", "/sys/devices/system/cpu", "/run/systemd/resolve", "/run/resolvconf",
        "/run/NetworkManager", "/run/connman", "/run/netconfig"};
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
    if (version < 1)
        return false;
    struct landlock_ruleset rules = {.fs = (1ULL << 13) - 1};
    size_t size = sizeof rules.fs;
    if (version >= 2)
        rules.fs |= 1ULL << 13;  // rename and link between directories
    if (version >= 3)
        rules.fs |= 1ULL << 14;  // truncate
    if (version >= 4) {
        rules.net = NET_BIND_TCP;
        size = offsetof(struct landlock_ruleset, scoped);
    }
    if (version >= 5)
        rules.fs |= 1ULL << 15;  // ioctl on devices
    if (version >= 6) {
        rules.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
        size = sizeof rules;
    }
    int ruleset = (int)syscall(LANDLOCK_CREATE, &rules, size, 0);
    if (ruleset < 0)
        return false;
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        allow(ruleset, directories[i], FS_READ_FILE | FS_READ_DIR);
    allow_directory_of(ruleset, "/etc/resolv.conf");
    allow_directory_of(ruleset, "/etc/ssl/certs/ca-certificates.crt");
    allow_directory_of(ruleset, "/etc/pki/tls/certs/ca-bundle.crt");
    allow(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE);
    allow(ruleset, "/dev/urandom", FS_READ_FILE);
    allow(ruleset, "/dev/random", FS_READ_FILE);
    bool done = syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0;
    close(ruleset);
    return done;
}

// ---- system calls: seccomp(2) ---------------------------------------------

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCHITECTURE
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, then) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), then
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define REFUSED(call) IF_EQUAL(__NR_##call, REFUSE(EPERM))

// Both machines have the low half of an argument first.
static struct sock_filter filter[] = {
    LOAD(arch),
    IF_EQUAL(NATIVE_ARCHITECTURE, BPF_STMT(BPF_JMP | BPF_JA, 1)),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
#ifdef __x86_64__
    // x32, the other way to all system calls.
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 0, 1),
    REFUSE(ENOSYS),
    REFUSED(fork),
    REFUSED(vfork),
#endif
    // No other program, and no other process.
    REFUSED(execve),
    REFUSED(execveat),
    REFUSED(ptrace),
    REFUSED(process_vm_readv),
    REFUSED(process_vm_writev),
    REFUSED(pidfd_getfd),
    REFUSED(unshare),
    REFUSED(setns),
    // Nobody connects to a lane, and it does not go round this filter.
    REFUSED(listen),
    REFUSED(io_uring_setup),
    // Its arguments lie in memory, where a filter cannot see them; the C library takes clone then.
    IF_EQUAL(__NR_clone3, REFUSE(ENOSYS)),
    // Threads alone.
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
    RETURN(SECCOMP_RET_ALLOW),
    REFUSE(EPERM),
    // Sockets to the network, and to the kernel for getaddrinfo(3); none with a path, such as the service's own.
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 5),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0),
    REFUSE(EAFNOSUPPORT),
    RETURN(SECCOMP_RET_ALLOW),
};

static bool restrict_calls(void)
{
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
#else
static bool restrict_calls(void) { return false; }
#endif

// ---- all of it ------------------------------------------------------------

// The kernel looks for a victim among the lanes before it looks at the daemon, which has the jobs of all.
static void be_first_to_go(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, "500", 3);
    (void)ignored;
    close(fd);
}

int cunix_confine_lane(unsigned descriptors)
{
    int done = 0;
    struct rlimit limit;
    be_first_to_go();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > descriptors)
        cunix_set_limit(RLIMIT_NOFILE, descriptors);
    cunix_set_limit(RLIMIT_CORE, 0);
    // RLIMIT_CORE says nothing to a core_pattern(5) that is a program.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        if (restrict_files())
            done |= CUNIX_CONFINED_FILES;
        if (restrict_calls())
            done |= CUNIX_CONFINED_CALLS;
    }
    return done;
}
