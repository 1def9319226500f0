/// Where the gate closes and where it opens again, in bytes: 0 ≤ low < high.
public struct Watermarks: Sendable, Equatable, Codable {
    /// At this many waiting bytes the gate closes.
    public let high: Int
    /// At this many it opens.
    public let low: Int

    /// Two watermarks in order.
    ///
    /// - Throws: `RequestError` that names the one at fault.
    public init(high: Int, low: Int, limit: Int = .max) throws(RequestError) {
        guard high > 0, high <= limit else {
            throw RequestError(
                parameter: "highWatermark", reason: "\(high) is not between 1 and \(limit) bytes",
                remedy: "choose a high watermark of at most \(limit)")
        }
        guard low >= 0, low < high else {
            throw RequestError(
                parameter: "lowWatermark", reason: "\(low) is not between 0 and \(high - 1) bytes",
                remedy: "choose a low watermark below the high one (\(high))")
        }
        self.high = high
        self.low = low
    }
}

/// The rule of backpressure: closed at the high watermark, open again at the low one, unchanged in between.
///
/// The gap keeps the gate from flapping. Bytes in hand never exceed the high watermark by more than one arrival,
/// because nothing arrives while the gate is closed.
public struct WatermarkGate: Sendable {
    /// What is to be done about a change.
    public enum Change: Sendable, Equatable {
        /// Nothing.
        case none
        /// Let nothing more arrive.
        case close
        /// Let it arrive again.
        case open
    }

    /// The two marks.
    public let marks: Watermarks
    /// Bytes that wait.
    public private(set) var buffered = 0
    /// Whether nothing may arrive.
    public private(set) var isClosed = false
    /// How often it has closed.
    public private(set) var closures = 0

    /// An open gate with nothing behind it.
    public init(marks: Watermarks) {
        self.marks = marks
    }

    /// Bytes have arrived.
    public mutating func arrived(_ bytes: Int) -> Change {
        buffered += bytes
        guard !isClosed, buffered >= marks.high else { return .none }
        isClosed = true
        closures += 1
        return .close
    }

    /// Bytes have left.
    public mutating func drained(_ bytes: Int) -> Change {
        precondition(bytes <= buffered, "more bytes left than were there")
        buffered -= bytes
        guard isClosed, buffered <= marks.low else { return .none }
        isClosed = false
        return .open
    }
}
