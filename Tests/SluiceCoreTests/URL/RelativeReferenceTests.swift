import Testing

@testable import SluiceCore

@Suite("Relative references (RFC 3986 §5.4)")
struct RelativeReferenceTests {
    static let base = "http://a/b/c/d;p?q"

    @Test(
        "the normal examples are resolved",
        arguments: [
            ("g:h", "g:h"), ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"), ("//g", "http://g"), ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"), ("g#s", "http://a/b/c/g#s"), ("g?y#s", "http://a/b/c/g?y#s"),
            (";x", "http://a/b/c/;x"), ("g;x", "http://a/b/c/g;x"), ("g;x?y#s", "http://a/b/c/g;x?y#s"),
            ("", "http://a/b/c/d;p?q"), (".", "http://a/b/c/"), ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"), ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../", "http://a/"),
            ("../../g", "http://a/g"),
        ])
    func resolvesNormalExamples(_ reference: String, _ target: String) {
        #expect(RelativeReference(reference).resolved(against: Self.base) == target)
    }

    @Test(
        "the abnormal examples are resolved",
        arguments: [
            ("../../../g", "http://a/g"), ("../../../../g", "http://a/g"), ("/./g", "http://a/g"),
            ("/../g", "http://a/g"), ("g.", "http://a/b/c/g."), (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"), ("./../g", "http://a/b/g"), ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"), ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"), ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"), ("g#s/./x", "http://a/b/c/g#s/./x"),
            ("g#s/../x", "http://a/b/c/g#s/../x"), ("http:g", "http:g"),
        ])
    func resolvesAbnormalExamples(_ reference: String, _ target: String) {
        #expect(RelativeReference(reference).resolved(against: Self.base) == target)
    }

    @Test(
        "references are resolved against bases without a path, with an empty path or with a query",
        arguments: [
            ("http://a", "g", "http://a/g"), ("http://a/", "g", "http://a/g"),
            ("http://a?q", "g", "http://a/g"),
            ("http://a/b?x/y/z", "g", "http://a/g"), ("http://a/b", "?", "http://a/b?"),
            ("http://a/b/", "..", "http://a/"),
            ("http://a/b//c", "../d", "http://a/b/d"), ("http://a/b", "//h:8/../x", "http://h:8/x"),
        ])
    func resolvesAgainstUnusualBases(_ base: String, _ reference: String, _ target: String) {
        #expect(RelativeReference(reference).resolved(against: base) == target)
    }
}
