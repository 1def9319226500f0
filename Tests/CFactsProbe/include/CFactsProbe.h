// Stands between Foundation and libcurl: see curl_easy_init.c.
#pragma once

// The CA file that every handle made from now on trusts instead of the system's; NULL for the system's.
// The text is not copied.
void cfactsprobe_set_ca_file(const char *path);
