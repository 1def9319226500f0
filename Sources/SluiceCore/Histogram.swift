/// Counts durations by their size, as Prometheus' histograms do.
///
/// Pure. To record one is a look through some fifteen bounds and allocates nothing.
public struct Histogram: Sendable, Equatable {
    /// What each bucket takes at most, in seconds, ascending; one more bucket takes all above.
    public let bounds: [Double]
    /// How many were measured.
    public private(set) var count = 0
    /// All of them together, in seconds.
    public private(set) var sum = 0.0
    private var counts: [Int]

    /// Nothing measured yet.
    ///
    /// - Parameter bounds: in any order; what is not a positive number is left out.
    public init(bounds: [Double]) {
        self.bounds = Array(Set(bounds.filter { $0 > 0 && $0.isFinite })).sorted()
        counts = [Int](repeating: 0, count: self.bounds.count)
    }

    /// Counts one. A clock that went backwards is no time; what is no number is not counted.
    public mutating func record(_ seconds: Double) {
        guard seconds.isFinite else { return }
        let seconds = max(0, seconds)
        count += 1
        sum += seconds
        for index in bounds.indices where seconds <= bounds[index] {
            counts[index] += 1
            return
        }
    }

    /// For each bound, how many were at most that.
    public var cumulative: [(bound: Double, count: Int)] {
        var total = 0
        return zip(bounds, counts).map { bound, count in
            total += count
            return (bound, total)
        }
    }
}

extension Histogram {
    /// How long jobs wait for a lane.
    ///
    /// An idle lane has its order within a millisecond; a lane that has to be started first takes some tens of them.
    /// From a second on the pool was full, and it is a question of how overloaded the service is: 30 s is more than a
    /// consumer that does not read may hold a lane (`parking.after_seconds`), minutes mean that there are too few lanes.
    public static let queueWait = Histogram(
        bounds: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800])

    /// How long the service takes for what it has at hand, and others have to wait: mostly some tens of microseconds. From
    /// 0.1 s on people notice.
    public static let loopTurn = Histogram(
        bounds: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1])

    /// How long origins take to begin their answers.
    ///
    /// Prometheus' own bounds (5 ms to 10 s) are made for this; below them is an origin next door, above are those that
    /// come near the connect timeout, which is 30 s unless it is set.
    public static let firstByte = Histogram(
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])
}
