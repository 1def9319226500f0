#include "CDispatchYield.h"

// From <dispatch/dispatch.h>, declared here so that the build does not need the
// toolchain's search path for it.
extern void *dispatch_get_current_queue(void);
extern void dispatch_retain(void *object);
extern void dispatch_release(void *object);
extern void dispatch_suspend(void *object);
extern void dispatch_resume(void *object);

void *cdispatch_suspend_current_queue(void)
{
    void *queue = dispatch_get_current_queue();
    dispatch_retain(queue);
    dispatch_suspend(queue);
    return queue;
}

void cdispatch_resume(void *queue)
{
    dispatch_resume(queue);
    dispatch_release(queue);
}
