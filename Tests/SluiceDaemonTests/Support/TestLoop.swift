import EventLoop
import TestKit

extension EventLoop {
    /// Lends the loop this thread until a condition holds.
    func run(until condition: @escaping () -> Bool, _ deadline: Deadline = Deadline()) -> Bool {
        var holds = false
        func look() {
            holds = condition()
            if holds || deadline.hasPassed { return stop() }
            after(.milliseconds(1), look)
        }
        look()
        run()
        return holds
    }
}
