// Feeds arbitrary lines to the collector of heads (Sources/CCurlShim/head.h)
// and checks what it makes of them.  `make fuzz-head` builds and runs it with
// libFuzzer; the address and undefined-behaviour sanitizers watch.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "not so: %s\n", #condition); \
            abort(); \
        } \
    } while (0)

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static void check(const struct head *head)
{
    CHECK(head->length <= head->capacity);
    CHECK(head->count <= HEAD_MAXIMUM_FIELDS);
    CHECK(head->received <= HEAD_MAXIMUM_BYTES);
    size_t end = 0;
    for (size_t i = 0; i < head->count; i++) {
        const struct head_field *field = &head->fields[i];
        // One after the other, without a gap, within the memory.
        CHECK(field->name == end && field->name_length > 0);
        CHECK(field->value == field->name + field->name_length);
        end = (size_t)field->value + field->value_length;
        CHECK(end <= head->length);
        const char *name = head->bytes + field->name;
        const char *value = head->bytes + field->value;
        CHECK(!is_blank(name[0]) && !is_blank(name[field->name_length - 1]));
        CHECK(memchr(name, ':', field->name_length) == NULL);
        if (field->value_length > 0)
            CHECK(!is_blank(value[0]) && !is_blank(value[field->value_length - 1]));
        for (size_t k = 0; k < field->value_length; k++)
            CHECK(value[k] != '\n' && value[k] != '\r' && value[k] != '\0');
    }
    CHECK(end == head->length);
}

static void look_for(const struct head *head)
{
    static const char *const names[] = { "location", "content-length", "transfer-encoding", "x" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t number = 0;
        const struct head_field *field, *before = NULL;
        while ((field = head_find(head, names[i], number)) != NULL) {
            CHECK(before == NULL || field > before);
            before = field;
            number++;
        }
        CHECK(number <= head->count);
    }
    long length = head_content_length(head);
    CHECK(length >= -1 && length < 1L << 56);
    CHECK(length < 0 || head_find(head, "content-length", 0) != NULL);
    bool has_coding = head_find(head, "transfer-encoding", 0) != NULL;
    CHECK(has_coding || (!head_hides_coding(head) && !head_may_be_chunked(head)));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
    struct head head = { 0 };
    const char *text = (const char *)bytes, *end = text + size;
    while (text < end) {
        // Lines as libcurl passes them on: up to the line feed.
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        size_t length = feed != NULL ? (size_t)(feed + 1 - text) : (size_t)(end - text);
        // In memory of its own, so that a byte too far is noticed.
        char *line = malloc(length);
        CHECK(line != NULL);
        memcpy(line, text, length);
        enum head_event event = head_add_line(&head, line, length);
        free(line);
        text += length;
        check(&head);
        switch (event) {
        case HEAD_MORE: continue;
        case HEAD_INTERIM:
            CHECK(head.status == 0 && head.count == 0);
            continue;
        case HEAD_FINAL:
            CHECK(head.status == 101 || (head.status >= 200 && head.status <= 999));
            look_for(&head);
            break;
        case HEAD_MALFORMED: CHECK(head.offending_length <= HEAD_OFFENDING_BYTES); break;
        case HEAD_NO_MEMORY: break;
        }
        // The same memory serves the next request.
        head_reset(&head);
        CHECK(head.status == 0 && head.count == 0);
    }
    head_free(&head);
    return 0;
}
