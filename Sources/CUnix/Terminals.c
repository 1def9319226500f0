#define _GNU_SOURCE
#include "CUnix.h"

#include <sys/ioctl.h>

int cunix_terminal_width(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) < 0 ? -1 : size.ws_col;
}

int cunix_terminal_height(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) < 0 ? -1 : size.ws_row;
}
