public import SluiceInterface

/// What the answer to a request for the rest of a body means.
public enum ContinuationDecision: Sendable, Equatable {
    /// What follows begins with the very next byte, and has so many bytes. `length` is that of the whole body, where one
    /// knows it: a part that ends before it, or of a body of unknown length, is not the end. Sums of the two fit.
    case goOn(remaining: Int?, length: Int?, framing: BodyFraming)
    /// What follows begins with the first byte of the same version: those that were delivered have to be dropped. A
    /// `length`, known from now or from before, is what the end has to be held to, whatever the framing.
    case startOver(length: Int?, framing: BodyFraming)
    /// There is nothing more: the consumer has it all.
    case isComplete
    /// None of what follows may reach the consumer.
    case refuse(OutcomeCode, String)
}

/// The rules for continuing a body whose first bytes are in a pipe and cannot be taken back (RFC 9110 §13.1.5, §14,
/// §15.3.7): the exact next byte of the same version, or nothing.
public enum ContinuationRules {
    /// Judges the head of a response to a request that began at `position` of `known`.
    ///
    /// - Parameters:
    ///   - position: how many bytes of the body the consumer has; above 0.
    ///   - asksForAll: the request had no Range, because every byte has to be seen again for a digest.
    ///   - url: where the response came from.
    ///   - field: looks a field up by its name in lower case.
    public static func judge(
        status: Int, url: String, position: Int, known: Representation, asksForAll: Bool,
        field: (String) -> String?
    ) -> ContinuationDecision {
        // Anything else is no answer about the body: it keeps its name, and may be one that passes.
        guard status == 200 || status == 206 || status == 416 else {
            return .refuse(
                .httpStatus, ResponseRules.sentence(status: status) + " when the body was to go on")
        }
        guard url.utf8.elementsEqual(known.url.utf8) else {
            return .refuse(.resourceChanged, "the rest would come from another place than the beginning")
        }
        guard let validator = known.version.validator, known.obstacle == nil else {
            return .refuse(.notResumable, "nothing says which version the delivered bytes are of")
        }
        if status == 416 {
            // To call the body complete here would be to forget the digest that was the reason to ask for all.
            guard !asksForAll else {
                return .refuse(
                    .rangeNotSatisfiable, "the server answered 416, but no range was asked for")
            }
            return notThere(position, known, validator, field)
        }
        if let refusal = codingRefusal(known, field) { return refusal }
        // All of it was asked for, and came, whatever the status calls it.
        if status == 200 || asksForAll && ResponseRules.wholePart(field) != nil {
            return whole(status, position, known, validator, field)
        }
        guard !asksForAll else {
            return .refuse(.unexpectedPartial, "the server answered 206, but no range was asked for")
        }
        return part(position, known, validator, field)
    }

    private static func part(
        _ position: Int, _ known: Representation, _ validator: Validator, _ field: (String) -> String?
    ) -> ContinuationDecision {
        let type = "multipart/byteranges".utf8
        if field("content-type").fieldValue?.utf8.prefix(type.count).map(\.lowercased).elementsEqual(type)
            == true
        {
            return .refuse(.multipartRange, "the server sent several parts where one was asked for")
        }
        guard let text = field("content-range"),
            case .part(let first, let last, let complete)? = ContentRange(text)
        else {
            let text = field("content-range").map { RequestURL.quote($0) } ?? "none"
            return .refuse(.wrongRange, "the Content-Range of the server's answer is \(text)")
        }
        guard first == position else {
            return .refuse(.wrongRange, "the server's part begins at byte \(first) instead of \(position)")
        }
        if let refusal = versionRefusal(validator, field) { return refusal }
        if let complete, let length = known.length, complete != length {
            return .refuse(
                .lengthChanged, "the body has \(complete) bytes now and had \(length), in the same version")
        }
        if let length = known.length, last >= length {
            return .refuse(
                .lengthChanged, "the part ends with byte \(last), and the body has \(length) bytes")
        }
        let remaining = last - first + 1
        if let announced = field("content-length"), TransferCoding(field("transfer-encoding")) == .none,
            ResponseRules.contentLength(announced) != remaining
        {
            return .refuse(
                .wrongRange,
                "the server announces \(RequestURL.quote(announced)) bytes for a part of \(remaining)")
        }
        return .goOn(remaining: remaining, length: known.length ?? complete, framing: .length)
    }

    private static func whole(
        _ status: Int, _ position: Int, _ known: Representation, _ validator: Validator,
        _ field: (String) -> String?
    ) -> ContinuationDecision {
        if let refusal = versionRefusal(validator, field) { return refusal }
        let decision = ResponseRules.judge(
            status: status, field: field, maximumSize: nil, identityOnly: false)
        switch decision {
        case .refuse(let code, let message):
            return .refuse(code, message)
        case .accept(let length, let framing, _):
            if let length, let before = known.length, length != before {
                return .refuse(
                    .lengthChanged, "the body has \(length) bytes now and had \(before), in the same version")
            }
            if let length, length < position {
                return .refuse(
                    .lengthChanged, "the body has \(length) bytes now, and \(position) have been delivered")
            }
            let whole = known.length ?? length
            guard framing != .unannounced || whole != nil else {
                return .refuse(.notResumable, "the rest of the body would end with the connection alone")
            }
            return .startOver(length: whole, framing: framing)
        }
    }

    private static func notThere(
        _ position: Int, _ known: Representation, _ validator: Validator, _ field: (String) -> String?
    ) -> ContinuationDecision {
        // It need not say of which version it speaks, but if it does it must be this one.
        if field(validator.fieldName).fieldValue != nil, let refusal = versionRefusal(validator, field) {
            return refusal
        }
        guard let text = field("content-range"), case .unsatisfied(let complete)? = ContentRange(text) else {
            return .refuse(
                .rangeNotSatisfiable,
                "the server says that nothing follows byte \(position), and not how long the body is")
        }
        guard complete == position, known.length.map({ $0 == complete }) ?? true else {
            return .refuse(
                .rangeNotSatisfiable,
                "the server says that the body has \(complete) bytes; \(position) have been delivered")
        }
        return .isComplete
    }

    /// Another coding of the body has other bytes, also where a careless server gives all of them one strong entity-tag.
    /// It is another representation, so the outcome is the one of that. A field that is missing means that there is no
    /// coding: a server may leave it out of a 206, but then nothing tells whether it did.
    private static func codingRefusal(_ known: Representation, _ field: (String) -> String?)
        -> ContinuationDecision?
    {
        if case .refused(let code, let message) = TransferCoding(field("transfer-encoding")) {
            return .refuse(code, message)
        }
        let now = ContentCoding.normalised(field("content-encoding"))
        guard now == known.coding else {
            return .refuse(
                .resourceChanged,
                "the server sends the body in another coding now: \(now.map { RequestURL.quote($0) } ?? "none")"
                    + " instead of \(known.coding.map { RequestURL.quote($0) } ?? "none")")
        }
        return nil
    }

    private static func versionRefusal(_ validator: Validator, _ field: (String) -> String?)
        -> ContinuationDecision?
    {
        guard let now = field(validator.fieldName).fieldValue else {
            return .refuse(
                .unknownVersion, "the answer does not say of which version it is (no \(validator.fieldName))")
        }
        // Byte for byte: Swift's == takes some letters beyond ASCII for their equivalents in it.
        guard now.utf8.elementsEqual(validator.text.utf8) else {
            return .refuse(
                .resourceChanged,
                "the server has another version now: \(RequestURL.quote(now)) instead of "
                    + "\(RequestURL.quote(validator.text))")
        }
        return nil
    }
}
