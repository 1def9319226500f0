// libcurl reads the certificates of the authorities for each new connection. A
// Debian machine has 140 of them, which takes longer than the rest of a
// handshake. From 7.87 on libcurl keeps a file that it has read, but not if it
// looks into a directory as well, as Debian's does. For such a libcurl the shim
// reads the file once, and again when it has changed. Lanes that a nursery has
// forked share what the nursery has read.
//
// The directory stays libcurl's, which asks OpenSSL to look into it; and with a
// directory libcurl does not keep what the shim gives it. Without one, with
// another TLS library than OpenSSL, with a libcurl before 7.84, and for a handle
// that has authorities of its own, all is left to libcurl.
//
// A proxy that speaks TLS itself is checked with the same certificates.
//
// OpenSSL's functions are looked up in the library that libcurl uses.
#define _GNU_SOURCE
#include "trust.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "next.h"

// X509_V_FLAG_TRUSTED_FIRST and X509_V_FLAG_PARTIAL_CHAIN, as libcurl sets them.
enum { STORE_FLAGS = 0x8000 | 0x80000 };

// The beginning of struct curl_version_info_data.
struct version_info {
    int age;
    const char *version;
    unsigned version_number;
    const char *host;
    int features;
    const char *ssl_version;
};

static struct {
    void *(*store_new)(void);
    void (*store_free)(void *store);
    int (*store_load)(void *store, const char *file, const char *directory);
    int (*store_set_flags)(void *store, unsigned long flags);
    void (*context_set_store)(void *context, void *store);
    void (*clear_errors)(void);
    bool are_complete;
} openssl;

// Used on the session's queue only (transfer.h), and before there is a session.
static struct {
    struct stat file, directory;
    void *store;
} kept;

static void look_up(void)
{
    struct version_info *(*version_info)(int age) = NULL;
    int (*const setopt)(easy_handle *, int, ...) = next_functions()->easy_setopt;
    void *function = NULL;
    memcpy(&function, &setopt, sizeof function);
    Dl_info libcurl;
    if (function == NULL || dladdr(function, &libcurl) == 0)
        return;
    // dlsym(3) with this handle searches libcurl and what libcurl depends on.
    void *library = dlopen(libcurl.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL)
        return;
    *(void **)&version_info = dlsym(library, "curl_version_info");
    const char *backend = version_info != NULL ? version_info(0)->ssl_version : NULL;
    if (backend == NULL || strncmp(backend, "OpenSSL/", strlen("OpenSSL/")) != 0)
        return;
    bool is_complete = true;
#define FIND(member, symbol) \
    is_complete &= (*(void **)&openssl.member = dlsym(library, symbol)) != NULL
    FIND(store_new, "X509_STORE_new");
    FIND(store_free, "X509_STORE_free");
    FIND(store_load, "X509_STORE_load_locations");
    FIND(store_set_flags, "X509_STORE_set_flags");
    FIND(context_set_store, "SSL_CTX_set1_cert_store");
    FIND(clear_errors, "ERR_clear_error");
#undef FIND
    openssl.are_complete = is_complete;
}

static bool has_openssl(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look_up);
    return openssl.are_complete;
}

// The time of a change (ctime) cannot be set, unlike that of a modification.
static bool are_equal(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size
        && one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

// What OpenSSL finds in the directory later becomes part of the store, so a
// change of the directory counts, too.
static void *store_of(const char *file, const char *directory)
{
    void *store = openssl.store_new();
    if (store == NULL)
        return NULL;
    if (openssl.store_load(store, file, directory) != 1 || openssl.store_set_flags(store, STORE_FLAGS) != 1) {
        openssl.clear_errors();
        openssl.store_free(store);
        return NULL;
    }
    return store;
}

// Returns false if they cannot be read.
static bool keep(const char *file, const char *directory)
{
    struct stat of_file, of_directory;
    if (stat(file, &of_file) < 0 || stat(directory, &of_directory) < 0)
        return false;
    if (kept.store != NULL && are_equal(&of_file, &kept.file) && are_equal(&of_directory, &kept.directory))
        return true;
    void *store = store_of(file, directory);
    if (store == NULL)
        return false;
    openssl.store_free(kept.store);
    kept.file = of_file;
    kept.directory = of_directory;
    kept.store = store;
    return true;
}

// For CURLOPT_SSL_CTX_FUNCTION.
static int on_context(easy_handle *easy, void *context, void *data)
{
    (void)easy, (void)data;
    openssl.context_set_store(context, kept.store);
    return OK;
}

// The built-in locations; these two do not tell what a handle has.
static bool find(easy_handle *easy, const char **file, const char **directory)
{
    const struct next_functions *next = next_functions();
    return has_openssl() && next->easy_getinfo(easy, INFO_CAINFO, file) == OK
        && next->easy_getinfo(easy, INFO_CAPATH, directory) == OK && *file != NULL && *directory != NULL;
}

void trust_set(easy_handle *easy)
{
    const struct next_functions *next = next_functions();
    const char *url = NULL, *file = NULL, *directory = NULL;
    if (next->easy_getinfo(easy, INFO_EFFECTIVE_URL, &url) != OK || url == NULL || strncasecmp(url, "https:", 6) != 0)
        return;
    if (!find(easy, &file, &directory))
        return;
    if (keep(file, directory) && next->easy_setopt(easy, OPTION_SSL_CTX_FUNCTION, on_context) == OK) {
        next->easy_setopt(easy, OPTION_CAINFO, NULL);
    } else {
        // libcurl reads them, and reports what is wrong with them.
        next->easy_setopt(easy, OPTION_SSL_CTX_FUNCTION, NULL);
        next->easy_setopt(easy, OPTION_CAINFO, file);
    }
}

void trust_warm(void)
{
    easy_handle *(*easy_init)(void) = NULL;
    const char *file = NULL, *directory = NULL;
    *(void **)&easy_init = dlsym(RTLD_DEFAULT, "curl_easy_init");
    easy_handle *easy = easy_init != NULL && next_functions()->are_complete ? easy_init() : NULL;
    if (easy == NULL)
        return;
    if (find(easy, &file, &directory))
        keep(file, directory);
    next_functions()->easy_cleanup(easy);
}
