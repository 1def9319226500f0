/// Whether an origin sends at least so many bytes a second, over spans of time in which it was allowed to.
///
/// Time behind a closed gate is the consumer's and does not count. Spans follow each other without a gap, so an origin is
/// found too slow at the end of the second span in which it was, at the latest.
public struct SpeedWatch: Sendable, Equatable {
    /// What a look at the counters means.
    public enum Look: Sendable, Equatable {
        /// The span is not over; look again after so many ns of an open gate.
        case later(UInt64)
        /// In the span that has ended only so many bytes came.
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
    public init(minimum: Int, span: Double = Timeouts.speedSpan, openTime: UInt64, received: Int) {
        self.minimum = minimum
        self.span = UInt64(span * 1e9)
        begin = openTime
        mark = received
    }

    /// What the counters say now; begins the next span where one has ended well.
    public mutating func look(openTime: UInt64, received: Int) -> Look {
        let passed = openTime > begin ? openTime - begin : 0
        guard passed >= span else { return .later(span - passed) }
        let bytes = received - mark
        // A look may come late: what counts is the rate.
        guard Double(bytes) >= Double(minimum) * Double(passed) / 1e9 else { return .tooSlow(bytes: bytes) }
        begin = openTime
        mark = received
        return .later(span)
    }
}
