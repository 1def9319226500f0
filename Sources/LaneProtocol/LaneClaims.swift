public import SluiceCore
internal import SluiceInterface

/// Checks of what a lane reports.
///
/// A lane reads untrusted data, and a lane that an attacker has taken over can report anything. The daemon therefore
/// checks a lane's claims before it passes them on to clients, into the journal, and into the next request.
extension ResponseFacts {
    /// Whether a response can have these facts.
    ///
    /// - Parameter url: the URL that was requested, which has been checked already.
    public func isPlausible(asked url: RequestURL) -> Bool {
        guard (200...299).contains(status), etag.map(LaneClaim.isTag) ?? true else { return false }
        return representation.isPlausible(asked: url)
    }
}

extension EndFacts {
    /// The facts with a message that may be shown; nil if the facts are implausible.
    public var checked: EndFacts? {
        guard status.map({ (100...999).contains($0) }) ?? true, etag.map(LaneClaim.isTag) ?? true,
            digest?.isPlausible ?? true, deniedAddress.map({ IPAddress($0) != nil }) ?? true,
            retryAfterSeconds.map({ $0 >= 0 && $0 <= RetryPolicy.longestRetryAfter }) ?? true
        else { return nil }
        var facts = self
        facts.outcome.message = LaneClaim.printable(outcome.message)
        // The remedy comes from the daemon, never from the lane.
        facts.outcome.remedy = outcome.code.remedy
        return facts
    }
}

extension Representation {
    func isPlausible(asked: RequestURL? = nil) -> Bool {
        // Byte for byte: Swift's == finds some texts equal whose bytes differ.
        func isText(of place: RequestURL?) -> Bool { place?.text.utf8.elementsEqual(url.utf8) == true }
        guard isText(of: asked) || isText(of: try? RequestURL(url)) else { return false }
        guard length.map({ $0 >= 0 && $0 < ResponseRules.longestBody }) ?? true, digests.count <= 4,
            digests.allSatisfy(\.isPlausible), coding.map(ContentCoding.isPlausible) ?? true
        else { return false }
        return version.validator.map { validator in
            validator.text.utf8.count <= Validator.maximumLength
                && validator.text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        } ?? true
    }
}

extension BodyDigest {
    fileprivate var isPlausible: Bool {
        hexadecimal.utf8.count == 2 * algorithm.byteCount
            && hexadecimal.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

private enum LaneClaim {
    /// The longest message that is passed on, in Unicode scalars.
    static let longestMessage = 500

    static func isTag(_ text: String) -> Bool {
        text.utf8.count <= Validator.maximumLength && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    static func printable(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(longestMessage).map { scalar in
            scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? "?" : scalar
        }
        return String(String.UnicodeScalarView(scalars))
    }
}
