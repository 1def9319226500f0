internal import Foundation

/// The part of a response's body that the consumer does not have yet.
///
/// Bytes at the front are dropped, wherever the chunks end, and none is let through past the announced end, whatever
/// a server sends after it.
struct BodyWindow: Sendable {
    /// Bytes that are still to be dropped.
    private(set) var toDrop: Int
    /// Bytes of the response that have come, dropped or not.
    private(set) var seen = 0
    /// Bytes that the response is to have.
    private let announced: Int?

    /// A window onto a response.
    ///
    /// - Parameters:
    ///   - dropping: bytes at the front, 0 or more.
    ///   - announced: bytes of the response, the dropped ones among them; nil where that is not known.
    init(dropping: Int, announced: Int?) {
        toDrop = dropping
        self.announced = announced
    }

    /// What a chunk holds.
    struct Parts: Sendable {
        /// Up to the announced end, from the first byte of the chunk on.
        var announced: Data
        /// What is the consumer's of it.
        var wanted: Data
        /// There is more after the announced end.
        var hasExcess: Bool
    }

    /// Takes the next chunk apart, without a copy.
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
