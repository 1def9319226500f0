internal import SluiceInterface

/// What the daemon believes of a lane's words.
///
/// A lane reads what strangers send, and one that was taken over by them would say what they like. So its claims are
/// looked at again: they go to clients, into the journal, and into the next request.
extension ResponseFacts {
    /// Whether these facts can be of a response at all.
    ///
    /// - Parameter url: what was asked for: it needs no second look.
    public func isPlausible(asked url: RequestURL) -> Bool {
        guard (200...299).contains(status), etag.map(LaneClaim.isTag) ?? true else { return false }
        return representation.isPlausible(asked: url)
    }
}

extension EndFacts {
    /// The facts, shortened to what may be shown; nil where they make no sense.
    public var checked: EndFacts? {
        guard status.map({ (100...999).contains($0) }) ?? true, etag.map(LaneClaim.isTag) ?? true,
            digest?.isPlausible ?? true, deniedAddress.map({ IPAddress($0) != nil }) ?? true,
            retryAfterSeconds.map({ $0 >= 0 && $0 <= 31_536_000 }) ?? true
        else { return nil }
        var facts = self
        facts.outcome.message = LaneClaim.printable(outcome.message)
        // The remedy is ours to give.
        facts.outcome.remedy = outcome.code.remedy
        return facts
    }
}

extension Representation {
    func isPlausible(asked: RequestURL? = nil) -> Bool {
        // Byte for byte: other texts count as equal to Swift.
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
    /// The longest sentence that is passed on, in characters.
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
