// The head of an HTTP response (RFC 9112 §2 to §5, RFC 9113 §8.3), collected
// from libcurl's header lines.
//
// Pure: no I/O, no libcurl.  tools/fuzz-head feeds it arbitrary lines.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The largest head, in bytes of its lines. libcurl has a limit of 300 KiB
// (7.88); this one applies with every version of libcurl.
enum { HEAD_MAXIMUM_BYTES = 512 << 10 };
// The maximum number of fields in a head: twice the limit of curl since 8.6.
enum { HEAD_MAXIMUM_FIELDS = 10000 };
// The bytes of an offending line that are kept for the error message.
enum { HEAD_OFFENDING_BYTES = 80 };

struct head_field {
    // Offsets into `bytes`.
    uint32_t name, name_length, value, value_length;
    // The field came with blanks before its colon, or over several lines:
    // libcurl does not read it as it is read here.
    bool is_odd;
};

struct head {
    // The status of the status line; 0 before that line.
    int status;
    // 9 for HTTP/0.9, 10, 11, 20, 30.
    int version;
    // Names and values one after the other, folds joined, blanks trimmed,
    // without line ends.
    char *bytes;
    size_t length, capacity;
    struct head_field *fields;
    size_t count, field_capacity;
    // The size of all lines so far, in bytes.
    size_t received;
    // The beginning of the line that could not be parsed.
    unsigned char offending[HEAD_OFFENDING_BYTES];
    size_t offending_length;
};

enum head_event {
    // More lines follow.
    HEAD_MORE,
    // An interim response (1xx) has ended: the next line begins a new head.
    HEAD_INTERIM,
    // The head of the final response is complete.
    HEAD_FINAL,
    // The line is malformed, or the head is too large: see `offending`.
    HEAD_MALFORMED,
    // No memory is left.
    HEAD_NO_MEMORY,
};

// Forgets all lines, and keeps the memory.
void head_reset(struct head *head);

// Frees the memory.
void head_free(struct head *head);

// Takes the next line, with or without its line end.
enum head_event head_add_line(struct head *head, const char *line, size_t length);

// The length that Content-Length announces: one number, or a list that repeats
// it (RFC 9110 §8.6); -1 if there is none, or none that is valid.
long head_content_length(const struct head *head);

// Whether there is a Transfer-Encoding that libcurl does not read as it is read
// here. One of the two sides could then take the body for chunked and the other
// not.
bool head_hides_coding(const struct head *head);

// Makes the first line of these bytes the offending line. Returns
// HEAD_MALFORMED.
enum head_event head_refuse(struct head *head, const char *line, size_t length);

// Makes the first field of this name the offending line.
void head_blame(struct head *head, const char *name);

// Whether any Transfer-Encoding contains `chunked`: libcurl may then take the
// body for chunked, wherever the word stands in the list.
bool head_may_be_chunked(const struct head *head);

// The number-th field of this name, from 0 on, compared without regard to ASCII
// case; NULL if there are fewer.
const struct head_field *head_find(const struct head *head, const char *name, size_t number);
