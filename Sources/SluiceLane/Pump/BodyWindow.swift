internal import Foundation

/// The part of a response's body that the consumer does not have yet.
///
/// Bytes at the front are dropped, wherever the chunks end. No byte behind the announced end is passed, whatever the
/// server sends.
struct BodyWindow: Sendable {
    /// Bytes that must still be dropped.
    private(set) var toDrop: Int
    /// Bytes of the response that have come, dropped or not.
    private(set) var seen = 0
    /// The announced size of the response; nil if it is unknown.
    private let announced: Int?

    /// A window onto a response.
    ///
    /// - Parameters:
    ///   - dropping: bytes at the front, 0 or more.
    ///   - announced: the size of the response, including the bytes to drop; nil if it is unknown.
    init(dropping: Int, announced: Int?) {
        toDrop = dropping
        self.announced = announced
    }

    /// The parts of a chunk.
    struct Parts: Sendable {
        /// The chunk up to the announced end.
        var announced: Data
        /// The part of it that the consumer gets.
        var wanted: Data
        /// True if the chunk has bytes behind the announced end.
        var hasExcess: Bool
    }

    /// Splits the next chunk, without a copy.
    mutating func take(_ chunk: Data) -> Parts {
        var chunk = chunk
        var hasExcess = false
        if let announced, chunk.count > announced - seen {
            hasExcess = true
            chunk = chunk.prefix(max(0, announced - seen))
        }
        seen += chunk.count
        guard toDrop > 0 else { return Parts(announced: chunk, wanted: chunk, hasExcess: hasExcess) }
        let dropped = min(toDrop, chunk.count)
        toDrop -= dropped
        return Parts(announced: chunk, wanted: chunk.dropFirst(dropped), hasExcess: hasExcess)
    }
}
