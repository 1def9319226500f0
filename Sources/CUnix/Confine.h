// What the files of a lane's confinement share, and no other file needs.
#pragma once
#include <stdbool.h>

// Installs the filter of Calls.c on every thread of the process.  Needs PR_SET_NO_NEW_PRIVS.
bool restrict_calls(void);
