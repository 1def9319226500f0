// Preloaded into the daemon and its lanes: at SIGUSR2 the process tries what a process that was taken over would try,
// and says on its standard error, for each, whether it can. The signal brings the number of another process.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, bool can)
{
    char line[160];
    int length = snprintf(line, sizeof line, "spy %d: %s %s\n", (int)getpid(), can ? "can" : "cannot", what);
    ssize_t ignored = write(2, line, (size_t)length);
    (void)ignored;
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool opens_of(int process, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", process, name);
    return opens(path, O_RDONLY);
}

static bool connects(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return can;
}

static bool listens(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return can;
}

static bool starts(bool another_program)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        if (another_program)
            execl("/bin/true", "true", NULL);
        _exit(another_program ? 1 : 0);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool raises_core_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max > 0;
}

static bool has_many_descriptors(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > 256;
}

// What a process is told by whoever sends the signal: the number of another one.
static void try(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    int other = info->si_value.sival_int;
    say("connect to the control socket", connects("/run/sluice/io.sluice.Ingest"));
    say("connect to the bus", connects("/run/dbus/system_bus_socket"));
    say("read the state directory", opens("/var/lib/sluice/", O_RDONLY | O_DIRECTORY));
    say("write into the state directory", opens("/var/lib/sluice/spy", O_RDWR | O_CREAT));
    say("write into /tmp", opens("/tmp/spy", O_RDWR | O_CREAT));
    say("read /run/sluice", opens("/run/sluice", O_RDONLY | O_DIRECTORY));
    say("start a process", starts(false));
    say("start a program", starts(true));
    say("listen", listens());
    say("read another's memory", opens_of(other, "mem"));
    say("read another's environment", opens_of(other, "environ"));
    say("signal another", kill(other, 0) == 0);
    say("have a core dumped", raises_core_limit());
    say("have many descriptors", has_many_descriptors());
    say("read /etc/hosts", opens("/etc/hosts", O_RDONLY));
    say("end", true);
}

__attribute__((constructor)) static void watch(void)
{
    struct sigaction action = {.sa_sigaction = try, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
}
