#define _GNU_SOURCE
#include "CUnix.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

_Static_assert((int)CUNIX_EPOLLIN == (int)EPOLLIN && (int)CUNIX_EPOLLOUT == (int)EPOLLOUT && (int)CUNIX_EPOLLERR == (int)EPOLLERR
                   && (int)CUNIX_EPOLLHUP == (int)EPOLLHUP && (int)CUNIX_EPOLLRDHUP == (int)EPOLLRDHUP
                   && (unsigned)CUNIX_EPOLLET == (unsigned)EPOLLET,
               "the epoll bits are the kernel's");

int cunix_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t token)
{
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event);
}

int cunix_epoll_add(int epoll, int fd, uint32_t events, uint64_t token)
{
    return control(epoll, EPOLL_CTL_ADD, fd, events, token);
}

int cunix_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token)
{
    return control(epoll, EPOLL_CTL_MOD, fd, events, token);
}

int cunix_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int cunix_epoll_wait(int epoll, struct cunix_event *events, int capacity, int timeout)
{
    // epoll_event is packed on x86-64, and Swift cannot read packed structs.
    struct epoll_event packed[CUNIX_MOST_EVENTS];
    if (capacity > CUNIX_MOST_EVENTS)
        capacity = CUNIX_MOST_EVENTS;
    int n = epoll_wait(epoll, packed, capacity, timeout);
    for (int i = 0; i < n; i++) {
        events[i].events = packed[i].events;
        events[i].token = packed[i].data.u64;
    }
    return n;
}

int cunix_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
