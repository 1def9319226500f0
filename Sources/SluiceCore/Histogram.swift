/// Counts durations by their size, as Prometheus' histograms do.
///
/// Pure. Recording a duration compares it with about fifteen bounds and allocates nothing.
public struct Histogram: Sendable, Equatable {
    /// The upper bound of each bucket, in seconds, ascending. Longer durations are in `count` and `sum` alone.
    public let bounds: [Double]
    /// Number of durations recorded.
    public private(set) var count = 0
    /// The sum of all durations, in seconds.
    public private(set) var sum = 0.0
    private var counts: [Int]

    /// An empty histogram.
    ///
    /// - Parameter bounds: in seconds, in any order; values that are not positive and finite are left out.
    public init(bounds: [Double]) {
        self.bounds = Array(Set(bounds.filter { $0 > 0 && $0.isFinite })).sorted()
        counts = [Int](repeating: 0, count: self.bounds.count)
    }

    /// Records a duration. A negative one counts as 0 (the clock went backwards); one that is not finite is ignored.
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

    /// For each bound, the number of durations that do not exceed it.
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
    /// An idle lane has its order within a millisecond; starting a lane takes some tens of milliseconds. A wait of a
    /// second or more means that the pool was full. Its length then shows how overloaded the service is: 30 s is longer
    /// than a consumer that does not read may hold a lane (`parking.after_seconds`), and minutes mean that there are
    /// too few lanes.
    public static let queueWait = Histogram(
        bounds: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800])

    /// How long one turn of the daemon's event loop takes, during which everything else waits: usually some tens of
    /// microseconds. Users notice turns of 0.1 s and more.
    public static let loopTurn = Histogram(
        bounds: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1])

    /// How long origins take to begin their answers.
    ///
    /// Prometheus' default bounds (5 ms to 10 s) are made for this. The bounds below them are for origins nearby, those
    /// above for origins that come near the connect timeout (30 s by default).
    public static let firstByte = Histogram(
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])
}
