internal import SluiceCore
internal import SluiceInterface

/// What is to be done with the body of a response that was accepted, and what its end means.
struct BodyPlan: Sendable, Equatable {
    /// What the response's body is.
    enum Kind: Sendable, Equatable {
        /// The whole body, of which the consumer has nothing.
        case whole
        /// The whole body once more; the consumer has so many of its bytes.
        case again(had: Int)
        /// What follows after so many bytes; this part of it is to have `announced` bytes.
        case rest(after: Int, announced: Int?)
    }

    /// What the response's body is.
    var kind: Kind
    /// Of the whole body, in bytes.
    var length: Int?
    /// How its end is known.
    var framing: BodyFraming
    /// The origin's digests of the whole body; empty where not all of it will be seen.
    var digests: [BodyDigest] = []

    /// Whether the first byte of the response is the body's first.
    var showsEverything: Bool {
        if case .rest = kind { false } else { true }
    }

    /// A window that lets the missing bytes through.
    var window: BodyWindow {
        switch kind {
        case .whole: BodyWindow(dropping: 0, announced: length)
        case .again(let had): BodyWindow(dropping: had, announced: length)
        case .rest(_, let announced): BodyWindow(dropping: 0, announced: announced)
        }
    }

    /// What it means that the server goes on after the announced end.
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

    /// What a body that has ended without an error amounts to.
    ///
    /// - Parameters:
    ///   - seen: bytes of the response.
    ///   - endIsProven: as `ResponseRules.atEnd` has it.
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
        // The last chunk has come: what is missing is not on its way.
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
            return Outcome(.truncated, "a part ended at byte \(end), and nothing says whether more follows")
        }
        if end == length { return Outcome(.complete, "the body has \(length) bytes") }
        return Outcome(.truncated, "the server's part ended at byte \(end) of \(length)")
    }
}

extension Int {
    fileprivate func addingSaturated(_ other: Int) -> Int {
        let (sum, isOver) = addingReportingOverflow(other)
        return isOver ? .max : sum
    }
}
