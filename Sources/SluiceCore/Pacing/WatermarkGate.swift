/// The numbers of bytes at which the gate closes and opens again: 0 ≤ low < high.
public struct Watermarks: Sendable, Equatable, Codable {
    /// The gate closes when this many bytes wait.
    public let high: Int
    /// The gate opens again when this many are left.
    public let low: Int

    /// Two watermarks in order.
    ///
    /// - Throws: `RequestError` that names the invalid watermark.
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
/// The gap keeps the gate from flapping. Waiting bytes never exceed the high watermark by more than one arrival,
/// because nothing arrives while the gate is closed.
public struct WatermarkGate: Sendable {
    /// What the caller must do after a change.
    public enum Change: Sendable, Equatable {
        /// Nothing.
        case none
        /// Let nothing more arrive.
        case close
        /// Let bytes arrive again.
        case open
    }

    /// The two marks.
    public let marks: Watermarks
    /// Number of bytes that wait.
    public private(set) var buffered = 0
    /// Whether the gate is closed: nothing may arrive.
    public private(set) var isClosed = false
    /// Number of times that the gate has closed.
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
