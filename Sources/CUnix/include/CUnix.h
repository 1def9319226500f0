// System calls of Linux that Swift cannot call.
//
// Swift imports glibc without _GNU_SOURCE, so the calls that need it are
// missing. Swift imports neither variadic functions (fcntl, ioctl) nor
// function-like macros (CMSG_*). Each wrapper below does one call, returns what
// the call returns and leaves errno as the call left it. A wrapper can go when
// the Glibc module declares the call itself.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- descriptors (variadic fcntl; _GNU_SOURCE) ----------------------------

int cunix_pipe2(int fds[2], bool nonblocking_write_end);
int cunix_get_pipe_size(int fd);
int cunix_set_pipe_size(int fd, int bytes);
int cunix_bytes_readable(int fd);  // ioctl FIONREAD; -1 with errno
int cunix_dup_cloexec(int fd, int lowest);
int cunix_set_cloexec(int fd, bool on);
int cunix_set_nonblocking(int fd, bool on);
int cunix_get_status_flags(int fd);  // F_GETFL
int cunix_close_range(unsigned first, unsigned last);
// Whether a descriptor is a pipe of pipe(2), not a named FIFO (fstatfs(2)).
bool cunix_is_anonymous_pipe(int fd);
// Opens the same pipe for reading and writing through /proc/self/fd.
int cunix_reopen_read_write(int fd);
// Opens the same pipe for reading, non-blocking, through /proc/self/fd.
int cunix_reopen_read(int fd);
// Opens the file of a descriptor with O_PATH (open(2)): the descriptor names the
// file, and is neither a reader nor a writer of it.
int cunix_open_place(int fd);

// ---- memory --------------------------------------------------------------

// Makes malloc(3) use one arena for all threads, and give free memory back only
// beyond 1 MiB, so that the short-lived memory of each transfer, mainly
// libcurl's receive buffer, is not mapped and unmapped each time. Call it
// before the first thread starts (mallopt(3), M_ARENA_MAX).
void cunix_use_one_malloc_arena(void);
// Gives all free pages of the heap back to the kernel, wherever they are
// (malloc_trim(3)).
void cunix_give_memory_back(void);

// memmem(3), which needs _GNU_SOURCE.
const void *cunix_find(const void *bytes, size_t count, const void *part, size_t part_count);

// ---- time (_XOPEN_SOURCE) -------------------------------------------------

// Parses a moment in UTC (strptime(3), timegm(3)). The whole text must have the
// format `form`. A leap second becomes the second before it. Returns false for
// any other text, and for a day that the month does not have.
bool cunix_parse_time(const char *text, const char *form, int64_t *seconds);

// ---- terminals (variadic ioctl) -------------------------------------------

// TIOCGWINSZ: 0 where unknown; -1 with ENOTTY.
int cunix_terminal_width(int fd);
int cunix_terminal_height(int fd);

// ---- moving bytes ---------------------------------------------------------

// splice(2) with SPLICE_F_MOVE | SPLICE_F_NONBLOCK.
ssize_t cunix_splice(int from, int to, size_t count);
// splice(2) with SPLICE_F_MOVE alone: may block.
ssize_t cunix_splice_blocking(int from, int to, size_t count);
// sync_file_range(2) with SYNC_FILE_RANGE_WRITE: the kernel begins to write a
// part of a file to the disk.  Waits only where too much is being written.
int cunix_start_writing_back(int fd, int64_t offset, int64_t length);

// ---- memory files ---------------------------------------------------------

int cunix_memfd(const char *name);          // MFD_CLOEXEC | MFD_ALLOW_SEALING
int cunix_seal_size(int fd);                // F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL
int cunix_seal_content(int fd);             // those and F_SEAL_WRITE
bool cunix_size_is_sealed(int fd);          // shrink and grow, both
// fallocate(2) with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE: gives pages back.
int cunix_punch_hole(int fd, int64_t offset, int64_t length);

// ---- record locks (variadic fcntl) ----------------------------------------

// F_SETLK: a write lock of this process on the whole file. Fails with EAGAIN or
// EACCES if another process has one. The kernel releases it when this process
// closes any descriptor of the file, and when the process ends.
int cunix_lock_write(int fd);
// F_SETLK: releases the lock; the descriptor stays open.
int cunix_unlock(int fd);
// F_GETLK: returns the process whose lock conflicts with such a lock, 0 for
// none, -1 with errno; EAGAIN if the holder has no number in this process's PID
// namespace. A lock of this process itself never conflicts.
pid_t cunix_lock_holder(int fd);

// ---- sockets --------------------------------------------------------------

int cunix_accept(int fd);  // SOCK_CLOEXEC | SOCK_NONBLOCK
struct cunix_credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
int cunix_peer_credentials(int fd, struct cunix_credentials *out);  // SO_PEERCRED

enum { CUNIX_MAX_FDS = 16 };  // per message; SCM_MAX_FD of the kernel is 253
// sendmsg(2) with MSG_NOSIGNAL and, when count > 0, one SCM_RIGHTS message.
ssize_t cunix_send(int fd, const void *bytes, size_t length, const int *fds, size_t count,
                   bool dont_wait);
// recvmsg(2) with MSG_CMSG_CLOEXEC.  *count holds the room on entry, the
// number received on return; *truncated says that the kernel dropped data or
// descriptors.
ssize_t cunix_receive(int fd, void *bytes, size_t length, int *fds, size_t *count,
                      bool *truncated, bool dont_wait);
// Receives bytes of a stream, or a packet, without waiting, and never receives
// descriptors. If the data comes with descriptors, or a packet is too long, all
// of it stays in the socket, *holds_descriptors is set, and 0 is returned.
ssize_t cunix_receive_bytes(int fd, void *bytes, size_t length, bool *holds_descriptors);
// Whether a stream has bytes that were not received.
bool cunix_has_unread(int fd);
int cunix_set_send_buffer(int fd, int bytes);  // SO_SNDBUF
// ioctl SIOCOUTQ: 0 once the peer of a Unix-domain stream socket has received
// everything that was sent, a positive number otherwise (memory, not bytes); -1
// with errno.
int cunix_unreceived_by_peer(int fd);
// Fills a sockaddr_un: a leading '@' means the abstract name space.  Returns
// the length of the address or -1 with ENAMETOOLONG.
int cunix_bind_unix(int fd, const char *path);
int cunix_connect_unix(int fd, const char *path);
// sendmsg(2) with MSG_NOSIGNAL on a datagram socket that is not connected, with
// one SCM_RIGHTS descriptor unless passed is -1, and MSG_DONTWAIT if dont_wait
// is set.
ssize_t cunix_send_datagram(int fd, const char *path, const void *bytes, size_t length, int passed,
                            bool dont_wait);
// The domain of a socket (SO_DOMAIN), or -1 with ENOTSOCK and the like.
int cunix_socket_domain(int fd);
// TCP_INFO's tcpi_state of a socket, or -1.
int cunix_tcp_state(int fd);
enum { CUNIX_TCP_ESTABLISHED = 1 };

// ---- epoll, eventfd -------------------------------------------------------

enum {
    CUNIX_EPOLLIN = 0x001,
    CUNIX_EPOLLOUT = 0x004,
    CUNIX_EPOLLERR = 0x008,
    CUNIX_EPOLLHUP = 0x010,
    CUNIX_EPOLLRDHUP = 0x2000,
    CUNIX_EPOLLET = 1U << 31,
};
struct cunix_event {
    uint32_t events;
    uint64_t token;
};
int cunix_epoll_create(void);
int cunix_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);
int cunix_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token);
int cunix_epoll_remove(int epoll, int fd);
// The most events that one call of cunix_epoll_wait returns: few, so that a turn
// of the loop is short. With 256, a client beside thousands of others waited
// nearly twice as long for its ten turns or so.
enum { CUNIX_MOST_EVENTS = 64 };
// The timeout is in milliseconds; -1 means no timeout.
int cunix_epoll_wait(int epoll, struct cunix_event *events, int capacity, int timeout);
int cunix_eventfd(void);  // EFD_CLOEXEC | EFD_NONBLOCK

// ---- processes ------------------------------------------------------------

int cunix_pidfd_open(pid_t pid);
int cunix_pidfd_send_signal(int pidfd, int signal);
// Starts a program: descriptors 0, 1, 2 and 3 of the child are stdin, stdout,
// stderr and control (each -1 for /dev/null; control -1 for none); every other
// descriptor is closed, all signals are at their defaults and unblocked.
// new_session asks for setsid(2). Returns the pid, or -1 with errno, also if
// execve(2) fails. posix_spawn(3) cannot close a range of descriptors.
pid_t cunix_spawn(const char *path, char *const argv[], char *const envp[], int standard_input,
                  int standard_output, int standard_error, int control, bool new_session);
// Number of processors in this process's affinity mask; -1 with errno.
int cunix_processors(void);
// The name of the calling thread, at most 15 bytes (prctl(2), PR_SET_NAME). The
// main thread's is the process's.
void cunix_set_thread_name(const char *name);
// Makes this process the new parent of descendants whose parent ends (prctl(2),
// PR_SET_CHILD_SUBREAPER).
int cunix_adopt_orphans(void);
// Like fork(2), for a process with one thread: the child belongs to the nearest
// ancestor that adopts orphans, not to this process, which has nothing to reap.
// It has the given name, and calls `run`, which must not return, once a byte was
// written to `go`; it ends with CUNIX_NEVER_LET_GO if `go` is closed before.
// Its main thread has a stack of 256 KiB.  Handlers of pthread_atfork(3) are not
// called.
enum { CUNIX_NEVER_LET_GO = 113 };
struct cunix_orphan {
    pid_t pid;   // -1 with errno
    int status;  // the child's status file in /proc (proc_pid_status(5)), or -1
    int go;
};
struct cunix_orphan cunix_fork_orphan(const char *name, void (*run)(void *context), void *context);
// For the child: descriptor 2 = standard_error, 3 = control, a session of its
// own, and no other descriptor above 2.
void cunix_become_child(int standard_error, int control);
// waitid(2) on a pidfd with WEXITED | WNOHANG. Returns 1 with *code set
// (CLD_EXITED and friends) and *status, 0 if it still runs, -1 with errno.
int cunix_reap(int pidfd, int *code, int *status);
int cunix_set_limit(int resource, uint64_t soft_and_hard);
enum { CUNIX_RLIMIT_CORE = 4, CUNIX_RLIMIT_NOFILE = 7, CUNIX_RLIMIT_DATA = 2 };
// Schedules the calling thread, and all threads that it starts, as SCHED_BATCH
// (sched(7)): it gets the same share of the processors, but when it wakes up it
// does not preempt the running thread. If that is not allowed, nothing changes.
void cunix_schedule_as_batch(void);
// Makes the process, and those that it forks from now on, the first that the
// kernel kills if memory is short (oom_score_adj, proc(5)).  Has no effect on a
// process that is hidden from its user.
void cunix_be_first_to_go(void);
// Irrevocably restricts a process that reads untrusted data. Call it before the
// first thread starts. Afterwards the process:
// - writes no core dump, and other processes of the same user cannot read its
//   memory (PR_SET_DUMPABLE);
// - has no capabilities, and at most `descriptors` descriptors;
// - is among the first that the kernel kills if memory is short;
// - with landlock(7), Linux 5.13: opens files only for reading, and only those
//   that the resolver, the trust store and the loader read; cannot use
//   ptrace(2) or /proc/PID/mem on other processes; cannot bind(2) TCP sockets
//   (6.7) or send signals to other processes (6.12);
// - with seccomp(2): makes only the system calls that fetching needs, with
//   arguments that affect no other process (Calls.c).
//
// All of it works without privileges. newest_landlock is CUNIX_ANY_LANDLOCK; a
// test passes the version of an older kernel, or 0 for a kernel without
// landlock(7). Returns which of the last two are in force, as CUNIX_CONFINED_
// bits.
int cunix_confine_lane(unsigned descriptors, int newest_landlock);
enum { CUNIX_ANY_LANDLOCK = 1 << 16 };
// Prevents other processes of the same user from reading this process's memory
// and descriptors (PR_SET_DUMPABLE).
void cunix_hide_from_user(void);
enum { CUNIX_CONFINED_FILES = 1, CUNIX_CONFINED_CALLS = 2 };

#ifdef __cplusplus
}
#endif
