internal import Unix

/// A call scheduled for later. Belongs to the loop's thread.
public final class Timer {
    fileprivate let deadline: ContinuousClock.Instant
    fileprivate var handler: (() -> Void)?

    fileprivate init(deadline: ContinuousClock.Instant, handler: @escaping () -> Void) {
        self.deadline = deadline
        self.handler = handler
    }

    /// Makes the call, unless it was cancelled.
    func fire() {
        let handler = self.handler
        self.handler = nil
        handler?()
    }

    /// Cancels the call. May be called twice, and after the call was made.
    public func cancel() {
        handler = nil
    }
}

/// The timers of a loop, the earliest first: a binary heap. A cancelled timer stays in it until it is due, or until a
/// sweep removes all cancelled timers.
struct TimerHeap {
    private var heap: [Timer] = []
    /// The size at which cancelled timers are swept out: twice the number that the last sweep left.
    private var sweepSize = 64

    mutating func add(at deadline: ContinuousClock.Instant, _ handler: @escaping () -> Void) -> Timer {
        let timer = Timer(deadline: deadline, handler: handler)
        if heap.count >= sweepSize { removeCancelled() }
        heap.append(timer)
        siftUp(from: heap.count - 1)
        return timer
    }

    /// The timeout for `epoll_wait(2)`: rounded up to whole milliseconds, -1 where no timer is left.
    mutating func millisecondsToNext(from now: ContinuousClock.Instant) -> Int32 {
        while let first = heap.first, first.handler == nil { removeFirst() }
        guard let first = heap.first else { return -1 }
        return now.duration(to: first.deadline).wholeMilliseconds
    }

    /// Takes out the timers that are due, the earliest first.
    mutating func takeDue(at now: ContinuousClock.Instant) -> [Timer] {
        var due: [Timer] = []
        while let first = heap.first, first.deadline <= now {
            removeFirst()
            due.append(first)
        }
        return due
    }

    private mutating func removeCancelled() {
        let live = heap.filter { $0.handler != nil }
        heap = []
        for timer in live {
            heap.append(timer)
            siftUp(from: heap.count - 1)
        }
        sweepSize = max(64, 2 * live.count)
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return }
            let right = left + 1
            let child = right < heap.count && heap[right].deadline < heap[left].deadline ? right : left
            guard heap[child].deadline < heap[parent].deadline else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }

    private mutating func siftUp(from index: Int) {
        var child = index
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].deadline < heap[parent].deadline else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }
}
