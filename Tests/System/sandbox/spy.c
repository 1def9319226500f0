// Preloaded into the daemon and its lanes: at SIGUSR2 the process tries what a process that was taken over would try
// (Tests/EscapeProbe/attempts.h), and says on its standard error what it can. The signal brings the number of another
// process.
#define _GNU_SOURCE
#include "../../EscapeProbe/attempts.h"

static int attempts;

static void tell(const char *what)
{
    char line[160];
    int length = snprintf(line, sizeof line, "spy %d: %s\n", (int)getpid(), what);
    ssize_t ignored = write(2, line, (size_t)length);
    (void)ignored;
}

// What it cannot is only counted: of a lane's words the service passes on 4 KiB.
static void say(const char *what, bool can)
{
    char text[120];
    attempts++;
    snprintf(text, sizeof text, "can %s", what);
    if (can)
        tell(text);
}

static void try(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    char text[40];
    struct escape_goal goal = {info->si_value.sival_int, "/var/lib/sluice", "/run/sluice/io.sluice.Ingest",
                               "/run/systemd/journal/socket"};
    attempts = 0;
    try_everything(&goal, say);
    snprintf(text, sizeof text, "tried %d things", attempts);
    tell(text);
}

__attribute__((constructor)) static void watch(void)
{
    struct sigaction action = {.sa_sigaction = try, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
}
