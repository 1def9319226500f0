// Declarations that only the files of a lane's confinement share.
#pragma once
#include <stdbool.h>

// Installs the filter of Calls.c on every thread of the process.  Needs PR_SET_NO_NEW_PRIVS.
bool restrict_calls(void);
