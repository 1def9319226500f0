public import SluiceInterface

/// What the answer to a request for the rest of a body means.
public enum ContinuationDecision: Sendable, Equatable {
    /// What follows begins with the very next byte and has `remaining` bytes. `length` is that of the whole body, if it
    /// is known. A part that ends before `length`, or whose body has no known length, is not the end. The sum of the
    /// two does not overflow.
    case goOn(remaining: Int?, length: Int?, framing: BodyFraming)
    /// What follows begins with the first byte of the same version: the lane must drop the bytes that were delivered.
    /// If `length` is known, from this response or from before, the body must end there, whatever the framing.
    case startOver(length: Int?, framing: BodyFraming)
    /// The body has no more bytes: the consumer has the whole body.
    case isComplete
    /// Nothing that follows may reach the consumer.
    case refuse(OutcomeCode, String)
}

/// The rules for continuing a body whose first bytes are in a pipe and cannot be taken back (RFC 9110 §13.1.5, §14,
/// §15.3.7): the exact next byte of the same version, or nothing.
public enum ContinuationRules {
    /// Judges the head of a response to a request that began at `position` of `known`.
    ///
    /// - Parameters:
    ///   - status: the status of the response.
    ///   - url: where the response came from.
    ///   - position: how many bytes of the body the consumer has; above 0.
    ///   - known: the representation that these bytes belong to.
    ///   - asksForAll: the request had no Range, because every byte must be received again for a digest.
    ///   - field: looks a field up by its name in lower case.
    public static func judge(
        status: Int, url: String, position: Int, known: Representation, asksForAll: Bool,
        field: (String) -> String?
    ) -> ContinuationDecision {
        // Any other status says nothing about the body. It is reported as `httpStatus`, and may be a temporary
        // condition.
        guard status == 200 || status == 206 || status == 416 else {
            return .refuse(
                .httpStatus, ResponseRules.sentence(status: status) + " when the rest was requested")
        }
        guard url.utf8.elementsEqual(known.url.utf8) else {
            return .refuse(.resourceChanged, "the rest would come from another place than the beginning")
        }
        guard let validator = known.version.validator, known.obstacle == nil else {
            return .refuse(.notResumable, "the version of the delivered bytes is unknown")
        }
        if status == 416 {
            // The body must not be called complete here: the digest, for which the whole body was requested, is still
            // unknown.
            guard !asksForAll else {
                return .refuse(
                    .rangeNotSatisfiable, "the server answered 416, but no range was asked for")
            }
            return notThere(position, known, validator, field)
        }
        if let refusal = codingRefusal(known, field) { return refusal }
        // The whole body was requested and has come, whether the status is 200 or 206.
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
        // A 416 response need not name a version. If it does, the version must be the delivered one.
        if field(validator.fieldName).fieldValue != nil, let refusal = versionRefusal(validator, field) {
            return refusal
        }
        guard let text = field("content-range"), case .unsatisfied(let complete)? = ContentRange(text) else {
            return .refuse(
                .rangeNotSatisfiable,
                "the server says that nothing follows byte \(position), but not how long the body is")
        }
        guard complete == position, known.length.map({ $0 == complete }) ?? true else {
            return .refuse(
                .rangeNotSatisfiable,
                "the server says that the body has \(complete) bytes; \(position) have been delivered")
        }
        return .isComplete
    }

    /// The refusal if the body has another coding now; nil otherwise. Another coding has other bytes, even if a
    /// careless server gives all codings the same strong entity-tag. It is another representation, hence
    /// `resourceChanged`. A missing field counts as no coding: a server may leave the field out of a 206, but nothing
    /// shows whether it did.
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
        // Byte for byte: Swift's == finds some texts equal whose bytes differ.
        guard now.utf8.elementsEqual(validator.text.utf8) else {
            return .refuse(
                .resourceChanged,
                "the server has another version now: \(RequestURL.quote(now)) instead of "
                    + "\(RequestURL.quote(validator.text))")
        }
        return nil
    }
}
