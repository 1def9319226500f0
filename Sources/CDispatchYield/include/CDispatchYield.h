// Makes a serial dispatch queue yield to its siblings.
//
// URLSession's queues all target one serial queue, and the one that runs
// libcurl feeds itself: while the socket has data it is never empty, so
// dispatch never runs the others. Cancellations of timers wait there, because
// Foundation makes a new timer for every chunk. The timers accumulate while the
// origin is faster than the lane, about 350 bytes for each 16 KiB.
//
// Swift has no name for the current queue, hence this target.  It can go when
// Foundation moves its timer instead of replacing it (EasyHandle.resetTimer).
#pragma once

// Suspends and retains the queue that the caller runs on, and returns it. The
// queue stops after the current block, until cdispatch_resume.
void *cdispatch_suspend_current_queue(void);
// Resumes the queue, after the blocks that have been queued meanwhile. Call it
// on another queue.
void cdispatch_resume(void *queue);
