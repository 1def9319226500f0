// Lets a serial dispatch queue step aside for its siblings.
//
// URLSession's queues all target one serial queue, and the one that runs
// libcurl feeds itself: while the socket has data it is never empty, so
// dispatch never turns to the others.  What waits there are the cancellations
// of a timer that Foundation makes anew for every chunk: they pile up for as
// long as the origin is faster than we are, some 350 bytes for each 16 KiB.
//
// Swift has no name for the current queue, hence this target.  It can go when
// Foundation moves its timer instead of replacing it (EasyHandle.resetTimer).
#pragma once

// The queue that the caller runs on, suspended and retained.  It stops after
// the block at hand, until cdispatch_resume.
void *cdispatch_suspend_current_queue(void);
// Lets it go on, behind what has queued up meanwhile.  From another thread.
void cdispatch_resume(void *queue);
