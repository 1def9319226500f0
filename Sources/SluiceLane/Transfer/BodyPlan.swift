internal import SluiceCore
internal import SluiceInterface

/// How the body of an accepted response is delivered, and what its end means.
struct BodyPlan: Sendable, Equatable {
    /// What the response's body is.
    enum Kind: Sendable, Equatable {
        /// The whole body; the consumer has none of it.
        case whole
        /// The whole body once more; the consumer has its first `had` bytes.
        case again(had: Int)
        /// The part of the body behind its first `after` bytes; the server announced this part with `announced` bytes.
        case rest(after: Int, announced: Int?)
    }

    /// What the response's body is.
    var kind: Kind
    /// The length of the whole body, in bytes.
    var length: Int?
    /// How the end of the body is recognised.
    var framing: BodyFraming
    /// The origin's digests of the whole body; empty if not all of it will be received.
    var digests: [BodyDigest] = []

    /// Whether the first byte of the response is the body's first.
    var showsEverything: Bool {
        if case .rest = kind { false } else { true }
    }

    /// A window that passes the missing bytes.
    var window: BodyWindow {
        switch kind {
        case .whole: BodyWindow(dropping: 0, announced: length)
        case .again(let had): BodyWindow(dropping: had, announced: length)
        case .rest(_, let announced): BodyWindow(dropping: 0, announced: announced)
        }
    }

    /// The outcome if the server sends bytes behind the announced end.
    var excess: Outcome {
        switch kind {
        case .whole:
            Outcome(.protocolError, "the server sends more than the \(length ?? 0) bytes that it announced")
        case .again:
            Outcome(.lengthChanged, "the body has more than \(length ?? 0) bytes now, in the same version")
        case .rest(_, let announced):
            Outcome(.wrongRange, "the server's part has more than the \(announced ?? 0) bytes announced")
        }
    }

    /// The outcome of a body that ended without an error.
    ///
    /// - Parameters:
    ///   - seen: the number of bytes in the response.
    ///   - endIsProven: see `ResponseRules.atEnd`.
    func atEnd(seen: Int, endIsProven: Bool) -> Outcome {
        switch kind {
        case .whole:
            ResponseRules.atEnd(received: seen, length: length, framing: framing, endIsProven: endIsProven)
        case .again(let had):
            endOfAll(seen: seen, had: had)
        case .rest(let position, let announced):
            endOfPart(seen: seen, position: position, announced: announced)
        }
    }

    private func endOfAll(seen: Int, had: Int) -> Outcome {
        let due = length ?? max(seen, had)
        if seen == due { return Outcome(.complete, "the body has \(seen) bytes") }
        // The last chunk has come, so no more bytes will follow.
        if framing == .chunked {
            return Outcome(
                .lengthChanged, "the body has \(seen) bytes now and had \(due), in the same version")
        }
        return Outcome(.truncated, "the body ended after \(seen) of \(due) bytes")
    }

    private func endOfPart(seen: Int, position: Int, announced: Int?) -> Outcome {
        let end = position.addingSaturated(seen)
        if let announced, seen < announced {
            return Outcome(.truncated, "the server's part ended after \(seen) of \(announced) bytes")
        }
        guard let length else {
            return Outcome(.truncated, "a part ended at byte \(end), and it is unknown whether more follows")
        }
        if end == length { return Outcome(.complete, "the body has \(length) bytes") }
        return Outcome(.truncated, "the server's part ended at byte \(end) of \(length)")
    }
}
