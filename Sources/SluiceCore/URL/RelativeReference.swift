/// A URI reference, which can be resolved against the URI it was found in (RFC 3986 §5.2).
///
/// Foundation on Linux resolves a Location header wrongly (docs/foundation.md, F18), hence this type.
struct RelativeReference {
    private struct Parts {
        var scheme: Substring?
        var authority: Substring?
        var path: Substring
        var query: Substring?
        var fragment: Substring?
    }

    private let reference: Parts

    init(_ text: String) {
        reference = Self.split(text)
    }

    /// The absolute URI.
    func resolved(against base: String) -> String {
        let base = Self.split(base)
        var target = reference
        if reference.scheme != nil {
            target.path = Self.removeDotSegments(reference.path)
        } else {
            target.scheme = base.scheme
            if reference.authority != nil {
                target.path = Self.removeDotSegments(reference.path)
            } else {
                target.authority = base.authority
                if reference.path.isEmpty {
                    target.path = base.path
                    target.query = reference.query ?? base.query
                } else if reference.path.hasPrefix("/") {
                    target.path = Self.removeDotSegments(reference.path)
                } else {
                    target.path = Self.removeDotSegments(Self.merge(base, reference.path))
                }
            }
        }
        return Self.join(target)
    }

    /// RFC 3986 appendix B, without the regular expression.
    private static func split(_ text: String) -> Parts {
        var rest = text[...]
        var parts = Parts(path: "")
        if let hash = rest.firstIndex(of: "#") {
            parts.fragment = rest[rest.index(after: hash)...]
            rest = rest[..<hash]
        }
        if let mark = rest.firstIndex(of: "?") {
            parts.query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let colon = rest.firstIndex(of: ":"), isScheme(rest[..<colon]) {
            parts.scheme = rest[..<colon]
            rest = rest[rest.index(after: colon)...]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let authority = rest.prefix { $0 != "/" }
            parts.authority = authority
            rest = rest[authority.endIndex...]
        }
        parts.path = rest
        return parts
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, Character(UnicodeScalar(first)).isLetter else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
    }

    private static func merge(_ base: Parts, _ path: Substring) -> Substring {
        if base.authority != nil, base.path.isEmpty { return "/" + path }
        guard let slash = base.path.lastIndex(of: "/") else { return path }
        return base.path[...slash] + path
    }

    /// RFC 3986 §5.2.4.
    private static func removeDotSegments(_ path: Substring) -> Substring {
        var output: [Substring] = []
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment {
            case ".":
                if isLast { output.append("") }
            case "..":
                // The first element is the empty text before the leading slash. It must stay.
                if output.count > 1 { output.removeLast() }
                if isLast { output.append("") }
            default:
                output.append(segment)
            }
        }
        return output.joined(separator: "/")[...]
    }

    private static func join(_ parts: Parts) -> String {
        var text = ""
        if let scheme = parts.scheme { text += scheme + ":" }
        if let authority = parts.authority { text += "//" + authority }
        text += parts.path
        if let query = parts.query { text += "?" + query }
        if let fragment = parts.fragment { text += "#" + fragment }
        return text
    }
}
