// What the tests need from C: the hot loops, which would be slow in a debug
// build of Swift, and the socket addresses, which Swift can only spell with
// pointer casts.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// ---- patterned bytes ------------------------------------------------------

// Fills `length` bytes of the endless pattern `seed` from `offset` on.
void ctestkit_pattern_fill(uint64_t seed, uint64_t offset, void *bytes, size_t length);
// How many of the bytes agree with the pattern from `offset` on: `length` when all do.
size_t ctestkit_pattern_agreement(uint64_t seed, uint64_t offset, const void *bytes, size_t length);

// ---- sockets --------------------------------------------------------------

// A listening TCP socket (close-on-exec) on a numeric IPv4 or IPv6 address; port 0 asks for a fresh one.
int ctestkit_listen(const char *address, uint16_t port, int backlog);
// A blocking, connected TCP socket (close-on-exec).
int ctestkit_connect(const char *address, uint16_t port);
// The local port, or -1.
int ctestkit_local_port(int fd);
// Makes the next close(2) send RST.
int ctestkit_reset_on_close(int fd);
int ctestkit_set_no_delay(int fd);
int ctestkit_set_send_buffer(int fd, int bytes);

// ---- what Swift does not import -------------------------------------------

// Removes a tree, without following links: nftw(3) hides behind _GNU_SOURCE.
int ctestkit_remove_tree(const char *path);
// fcntl(2) with struct flock over the whole file: F_SETLK of a write lock.
int ctestkit_lock_whole(int fd);
// The pid that F_GETLK reports for a write lock on the whole file, 0 for none, -1 with errno.
pid_t ctestkit_lock_holder(int fd);
// Opens a pseudo terminal of so many columns in raw mode (openpt, ioctl); both ends close-on-exec and nobody's
// controlling terminal.
int ctestkit_open_terminal(int ends[2], int columns);
// The two halves of the pipe's fullness: FIONREAD and poll(2)'s POLLOUT.
bool ctestkit_is_writable(int fd);

// ---- other users ----------------------------------------------------------

// Makes the calling thread, and no other, another user to the kernel (the raw
// setresuid(2); glibc's would change all threads).  Needs root.
int ctestkit_thread_becomes_user(uid_t user);
// The way back.
void ctestkit_thread_becomes_itself(void);

// A blocking, connected Unix stream socket (close-on-exec), as another user would have it: the peer sees `user` in
// SO_PEERCRED. Only for root. Credentials are a thread's in the kernel, and glibc's setresuid(2) is not.
int ctestkit_connect_unix_as(const char *path, uid_t user);

// ---- forks (forks.c) -------------------------------------------------------

struct ctestkit_hold;
// Waits until no program is being started, and lets new starts wait, but for those of this thread. Holds do not wait
// for each other.
struct ctestkit_hold *ctestkit_forks_hold(void);
// Lets programs start again. Any thread may do it; safe to call twice.
void ctestkit_forks_release(struct ctestkit_hold *hold);

// ---- a known piece of work (forks.c) ---------------------------------------

// Nanoseconds that some computing takes now: a few milliseconds of one processor.
int64_t ctestkit_time_computing(void);
// Nanoseconds from the start of /bin/true to its end; waiting for one's turn (ctestkit_forks_hold) is not counted.
// -1 where it cannot be started.
int64_t ctestkit_time_starting(void);
