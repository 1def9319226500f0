internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface

/// What the head of a final response means for an order.
enum Verdict: Sendable, Equatable {
    /// The body is accepted.
    case take(BodyPlan, ResponseFacts)
    /// The head decides: the job or this attempt is over, and nothing that follows reaches the consumer.
    ///
    /// `dropping` is the length of what follows, if it is known. Receiving and dropping a short body keeps the
    /// connection.
    case settle(EndFacts, dropping: Int?)
}

/// Judges responses by their heads alone. The size of its verdicts is bounded, because they go to the daemon.
struct ResponseJudge: Sendable {
    let order: LaneOrder
    /// True if the bytes of a coded body come as the server sent them (`ResponseHead.isExact`).
    let takesCodings: Bool
    /// True if the request had cookies that a redirect had set. A request for the rest would not have them.
    let needsCookies: Bool

    /// - Parameters:
    ///   - url: where the response came from.
    ///   - sendsCredentials: the caller's credentials were sent there.
    ///   - now: in seconds since 1970.
    ///   - field: looks a field up by its name in lower case.
    func judge(
        status: Int, url: String, sendsCredentials: Bool, now: Int, field: (String) -> String?
    ) -> Verdict {
        if order.position > 0, let known = order.known {
            return judge(rest: known, status: status, url: url, now: now, field: field)
        }
        if status == 304, isConditional {
            var facts = EndFacts(
                Outcome(.unchanged, "the server says that nothing has changed (304)"), status: status)
            facts.etag = ResponseRules.entityTag(field)
            return .settle(facts, dropping: 0)
        }
        let decision = ResponseRules.judge(
            status: status, field: field, maximumSize: order.maximumSize,
            identityOnly: order.requiresIdentity || !takesCodings)
        switch decision {
        case .refuse(let code, let message):
            return refuse(code, message, status, now, field)
        case .accept(let length, let framing, let coding):
            // A 206 that is accepted here has all bytes of the representation, and its fields describe that
            // representation.
            let isRepresentation = status == 200 || status == 206
            let digests = isRepresentation ? Self.digests(field) : []
            let representation = Representation(
                url: url, sendsHeaders: sendsCredentials,
                // The fields of other responses may describe something other than the bytes that follow: those of a 226
                // describe the instance, and the bytes are a delta to it (RFC 3229 §10.4.1).
                version: isRepresentation ? Version(field: field) : .unnamed, length: length,
                framing: framing,
                refusesRanges: ResponseRules.refusesRanges(field), digests: digests, coding: coding,
                needsCookies: needsCookies)
            return .take(
                BodyPlan(kind: .whole, length: length, framing: framing, digests: digests),
                ResponseFacts(
                    status: status, representation: representation, etag: ResponseRules.entityTag(field)))
        }
    }

    private func judge(
        rest known: Representation, status: Int, url: String, now: Int, field: (String) -> String?
    ) -> Verdict {
        let decision = ContinuationRules.judge(
            status: status, url: url, position: order.position, known: known, asksForAll: order.asksForAll,
            field: field)
        switch decision {
        case .goOn(let remaining, let length, let framing):
            let plan = BodyPlan(
                kind: .rest(after: order.position, announced: remaining), length: length, framing: framing)
            return take(plan, of: known, status, field)
        case .startOver(let length, let framing):
            let plan = BodyPlan(
                kind: .again(had: order.position), length: length, framing: framing,
                digests: known.digests + Self.digests(field).filter { !known.digests.contains($0) })
            return take(plan, of: known, status, field)
        case .isComplete where order.asksForAll:
            // The digest is still unknown, and the request for it had no Range.
            return refuse(
                .rangeNotSatisfiable, "the server answered 416, but no range was asked for", status, now,
                field)
        case .isComplete:
            let facts = EndFacts(
                Outcome(.complete, "the body has \(order.position) bytes"), status: status)
            return .settle(facts, dropping: Self.length(field))
        case .refuse(let code, let message):
            return refuse(code, message, status, now, field)
        }
    }

    private func take(
        _ plan: BodyPlan, of known: Representation, _ status: Int, _ field: (String) -> String?
    ) -> Verdict {
        if let length = plan.length, let maximum = order.maximumSize, length > maximum {
            return .settle(
                EndFacts(
                    Outcome(.tooLarge, "the body has \(length) bytes; the job allows \(maximum)"),
                    status: status), dropping: nil)
        }
        var representation = known
        representation.length = plan.length
        if plan.showsEverything {
            representation.digests = plan.digests
            // A range of this version was requested, and the whole body came.
            if !order.asksForAll { representation.refusesRanges = true }
        }
        if ResponseRules.refusesRanges(field) { representation.refusesRanges = true }
        return .take(
            plan,
            ResponseFacts(
                status: status, representation: representation, etag: ResponseRules.entityTag(field)))
    }

    private func refuse(
        _ code: OutcomeCode, _ message: String, _ status: Int, _ now: Int, _ field: (String) -> String?
    ) -> Verdict {
        var facts = EndFacts(Outcome(code, message), status: status)
        if !(200...299).contains(status), let text = field("retry-after") {
            facts.retryAfterSeconds = RetryPolicy.retryAfter(text, now: now)
        }
        return .settle(facts, dropping: code == .httpStatus ? Self.length(field) : nil)
    }

    /// Whether the request had a condition: a 304 is valid only then.
    private var isConditional: Bool {
        order.ifNoneMatch != nil || order.headers.contains { RequestMaker.isCondition($0.name) }
    }

    // MARK: Fields

    private static func digests(_ field: (String) -> String?) -> [BodyDigest] {
        field("repr-digest").map(BodyDigest.inField) ?? []
    }

    private static func length(_ field: (String) -> String?) -> Int? {
        field("content-length").flatMap(ResponseRules.contentLength)
    }
}
