// What a lane gives up before it reads untrusted data: see cunix_confine_lane in CUnix.h.
//
// The constants of the kernel's interface are written out, because a machine's headers may be older than its kernel.
#define _GNU_SOURCE
#include "CUnix.h"
#include "Confine.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
        return;  // A missing file needs no permission.
    if (fstat(fd, &status) == 0) {
        if (!S_ISDIR(status.st_mode))
            rights &= ~FS_READ_DIR;
        struct landlock_path rule = {.allowed = rights, .parent = fd};
        syscall(LANDLOCK_ADD, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    }
    close(fd);
}

// Allows the directory of a file that other programs replace and that may be a symbolic link. A rule for the file
// itself would apply only to its old version.
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

static bool restrict_files(long newest)
{
    // Directories that the resolver, the trust store, OpenSSL and the dynamic loader read.
    static const char *const directories[] = {
        "/etc", "/usr", "/lib", "/lib64", "/proc", "/sys/devices/system/cpu", "/run/systemd/resolve", "/run/resolvconf",
        "/run/NetworkManager", "/run/connman", "/run/netconfig"};
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
    if (version > newest)
        version = newest;
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

// ---- all of it ------------------------------------------------------------

// When memory is short, the kernel kills lanes before the daemon, which has the jobs of all users.
void cunix_be_first_to_go(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, "500", 3);
    (void)ignored;
    close(fd);
}

// If root runs the service, its lanes run as root, too.
static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    syscall(SYS_capset, &header, none);
}

void cunix_hide_from_user(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int cunix_confine_lane(unsigned descriptors, int newest_landlock)
{
    int done = 0;
    struct rlimit limit;
    cunix_be_first_to_go();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > descriptors)
        cunix_set_limit(RLIMIT_NOFILE, descriptors);
    cunix_set_limit(RLIMIT_CORE, 0);
    // RLIMIT_CORE does not stop a core_pattern that is a program (core(5)).
    cunix_hide_from_user();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        drop_capabilities();
        if (restrict_files(newest_landlock))
            done |= CUNIX_CONFINED_FILES;
        if (restrict_calls())
            done |= CUNIX_CONFINED_CALLS;
    }
    return done;
}
