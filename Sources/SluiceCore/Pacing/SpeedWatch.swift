/// Checks that an origin sends at least a minimum of bytes a second, over spans of time in which it could send.
///
/// Time behind a closed gate does not count, because the consumer causes it. Spans follow each other without a gap, so
/// an origin that becomes too slow is found at the end of the following span at the latest.
public struct SpeedWatch: Sendable, Equatable {
    /// The result of a look at the counters.
    public enum Look: Sendable, Equatable {
        /// The span is not over; look again after this time with an open gate, in ns.
        case later(UInt64)
        /// Only this number of bytes came in the span that has ended.
        case tooSlow(bytes: Int)
    }

    private let minimum: Int
    private let span: UInt64
    private var begin: UInt64
    private var mark: Int

    /// Begins the first span.
    ///
    /// - Parameters:
    ///   - minimum: bytes a second, above 0.
    ///   - span: in seconds.
    ///   - openTime: how long the gate has been open so far, in ns.
    ///   - received: bytes that have come so far.
    public init(minimum: Int, span: Double, openTime: UInt64, received: Int) {
        self.minimum = minimum
        self.span = Nanoseconds.of(seconds: span)
        begin = openTime
        mark = received
    }

    /// Checks the counters. Begins the next span if the last one has ended and was fast enough.
    public mutating func look(openTime: UInt64, received: Int) -> Look {
        let passed = openTime > begin ? openTime - begin : 0
        guard passed >= span else { return .later(span - passed) }
        let bytes = received - mark
        // A look may come late, so the rate is compared, not the number of bytes.
        guard Double(bytes) >= Double(minimum) * Nanoseconds.seconds(passed) else {
            return .tooSlow(bytes: bytes)
        }
        begin = openTime
        mark = received
        return .later(span)
    }
}
