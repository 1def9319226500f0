#include "head.h"

#include <stdlib.h>
#include <string.h>

// The memory of a large head is freed and not kept for the small heads that
// follow.
enum { KEPT_BYTES = 16 << 10, KEPT_FIELDS = 256 };

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

void head_free(struct head *head)
{
    free(head->bytes);
    free(head->fields);
    memset(head, 0, sizeof *head);
}

void head_reset(struct head *head)
{
    if (head->capacity > KEPT_BYTES || head->field_capacity > KEPT_FIELDS)
        head_free(head);
    head->status = head->version = 0;
    head->length = head->count = head->received = head->offending_length = 0;
}

enum head_event head_refuse(struct head *head, const char *line, size_t length)
{
    const char *end = memchr(line, '\n', length);
    if (end != NULL)
        length = (size_t)(end - line);
    if (length > 0 && line[length - 1] == '\r')
        length--;
    head->offending_length = length < HEAD_OFFENDING_BYTES ? length : HEAD_OFFENDING_BYTES;
    memcpy(head->offending, line, head->offending_length);
    return HEAD_MALFORMED;
}

// Makes room for `more` bytes.
static bool reserve_bytes(struct head *head, size_t more)
{
    if (head->length + more <= head->capacity)
        return true;
    size_t capacity = head->capacity ? head->capacity : 1024;
    while (capacity < head->length + more)
        capacity *= 2;
    char *bytes = realloc(head->bytes, capacity);
    if (bytes == NULL)
        return false;
    head->bytes = bytes;
    head->capacity = capacity;
    return true;
}

static bool reserve_field(struct head *head)
{
    if (head->count < head->field_capacity)
        return true;
    size_t capacity = head->field_capacity ? 2 * head->field_capacity : 32;
    struct head_field *fields = realloc(head->fields, capacity * sizeof *fields);
    if (fields == NULL)
        return false;
    head->fields = fields;
    head->field_capacity = capacity;
    return true;
}

// A bare CR or a NUL in a value is read as a blank (RFC 9110 §5.5).
static bool is_padding(char c) { return is_blank(c) || c == '\r' || c == '\0'; }

// The caller has made room.
static void append_value(struct head *head, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        head->bytes[head->length++] = text[i] == '\r' || text[i] == '\0' ? ' ' : text[i];
}

static void append_name(struct head *head, const char *text, size_t length)
{
    memcpy(head->bytes + head->length, text, length);
    head->length += length;
}

// "HTTP/1.1 200 OK" in upper or lower case, with any number of blanks, with or
// without a reason phrase.
static bool read_status_line(struct head *head, const char *line, size_t length)
{
    const char *end = line + length;
    static const char name[] = "http";
    for (size_t i = 0; i < 4; i++)
        if (length <= i || lower(line[i]) != name[i])
            return false;
    line += 4;
    int version = 10;
    if (line < end && *line == '/') {
        line++;
        if (line == end || !is_digit(*line))
            return false;
        version = (*line++ - '0') * 10;
        if (line < end && *line == '.') {
            line++;
            if (line == end || !is_digit(*line))
                return false;
            version += *line++ - '0';
        }
    }
    if (line == end || !is_blank(*line))
        return false;
    while (line < end && is_blank(*line))
        line++;
    if (end - line < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]))
        return false;
    int status = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    line += 3;
    if (status < 100 || (line < end && is_digit(*line)))
        return false;
    head->status = status;
    head->version = version;
    return true;
}

// A line that begins with a blank continues the value before it (obs-fold, RFC
// 9112 §5.2).
static enum head_event add_fold(struct head *head, const char *line, size_t length)
{
    if (head->count == 0)
        return head_refuse(head, line, length);
    while (length > 0 && is_padding(*line)) {
        line++;
        length--;
    }
    if (length == 0)
        return HEAD_MORE;
    if (!reserve_bytes(head, length + 1))
        return HEAD_NO_MEMORY;
    // The last field's value is the last in `bytes`.
    struct head_field *field = &head->fields[head->count - 1];
    field->is_odd = true;
    if (field->value_length > 0)
        head->bytes[head->length++] = ' ';
    append_value(head, line, length);
    field->value_length = (uint32_t)(head->length - field->value);
    return HEAD_MORE;
}

static enum head_event add_field(struct head *head, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    if (colon == NULL)
        return head_refuse(head, line, length);
    size_t name_length = (size_t)(colon - line);
    while (name_length > 0 && is_blank(line[name_length - 1]))
        name_length--;
    // A field without a name is ignored.
    if (name_length == 0)
        return HEAD_MORE;
    const char *value = colon + 1;
    const char *end = line + length;
    while (value < end && is_padding(*value))
        value++;
    size_t value_length = (size_t)(end - value);
    if (head->count == HEAD_MAXIMUM_FIELDS)
        return head_refuse(head, line, length);
    if (!reserve_bytes(head, name_length + value_length) || !reserve_field(head))
        return HEAD_NO_MEMORY;
    struct head_field *field = &head->fields[head->count++];
    field->name = (uint32_t)head->length;
    field->name_length = (uint32_t)name_length;
    field->is_odd = line[name_length] != ':';
    append_name(head, line, name_length);
    field->value = (uint32_t)head->length;
    field->value_length = (uint32_t)value_length;
    append_value(head, value, value_length);
    return HEAD_MORE;
}

static enum head_event end_of_head(struct head *head)
{
    // 101 does not count as an interim response: another protocol would follow
    // (RFC 9110 §15.2.2).
    if (head->status < 200 && head->status != 101) {
        head_reset(head);
        return HEAD_INTERIM;
    }
    return HEAD_FINAL;
}

enum head_event head_add_line(struct head *head, const char *line, size_t length)
{
    if (length > HEAD_MAXIMUM_BYTES - head->received)
        return head_refuse(head, line, length);
    head->received += length;
    bool is_fold = length > 0 && is_blank(*line);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    bool is_empty = length == 0;
    while (length > 0 && is_padding(line[length - 1]))
        length--;
    if (head->status == 0)
        return read_status_line(head, line, length) ? HEAD_MORE : head_refuse(head, line, length);
    if (is_empty)
        return end_of_head(head);
    return is_fold ? add_fold(head, line, length) : add_field(head, line, length);
}

const struct head_field *head_find(const struct head *head, const char *name, size_t number)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < head->count; i++) {
        const struct head_field *field = &head->fields[i];
        if (field->name_length != length)
            continue;
        const char *candidate = head->bytes + field->name;
        size_t same = 0;
        while (same < length && lower(candidate[same]) == lower(name[same]))
            same++;
        if (same == length && number-- == 0)
            return field;
    }
    return NULL;
}

bool head_hides_coding(const struct head *head)
{
    const struct head_field *field;
    for (size_t i = 0; (field = head_find(head, "transfer-encoding", i)) != NULL; i++)
        if (field->is_odd)
            return true;
    return false;
}

bool head_may_be_chunked(const struct head *head)
{
    static const char chunked[] = "chunked";
    const size_t length = sizeof chunked - 1;
    const struct head_field *field;
    for (size_t i = 0; (field = head_find(head, "transfer-encoding", i)) != NULL; i++)
        for (size_t start = 0; start + length <= field->value_length; start++) {
            const char *text = head->bytes + field->value + start;
            size_t same = 0;
            while (same < length && lower(text[same]) == chunked[same])
                same++;
            if (same == length)
                return true;
        }
    return false;
}

long head_content_length(const struct head *head)
{
    const long largest = 1L << 56;
    long length = -1;
    const struct head_field *field;
    for (size_t i = 0; (field = head_find(head, "content-length", i)) != NULL; i++) {
        const char *text = head->bytes + field->value, *end = text + field->value_length;
        while (true) {
            while (text < end && is_blank(*text))
                text++;
            if (text == end || !is_digit(*text))
                return -1;
            long number = 0;
            for (; text < end && is_digit(*text); text++) {
                number = 10 * number + (*text - '0');
                if (number >= largest)
                    return -1;
            }
            while (text < end && is_blank(*text))
                text++;
            if (length >= 0 && length != number)
                return -1;
            length = number;
            if (text == end)
                break;
            if (*text++ != ',')
                return -1;
        }
    }
    return length;
}

void head_blame(struct head *head, const char *name)
{
    const struct head_field *field = head_find(head, name, 0);
    if (field == NULL)
        return;
    head_refuse(head, head->bytes + field->name, field->name_length);
    const char *parts[] = { ": ", head->bytes + field->value };
    size_t lengths[] = { 2, field->value_length };
    for (size_t i = 0; i < 2; i++) {
        size_t room = HEAD_OFFENDING_BYTES - head->offending_length;
        size_t length = lengths[i] < room ? lengths[i] : room;
        memcpy(head->offending + head->offending_length, parts[i], length);
        head->offending_length += length;
    }
}
