import TestKit
import Testing

@testable import SluiceCore

@Suite("Cookies within a job (RFC 6265)")
struct CookieJarTests {
    static let now = 1_000_000_000

    private func sent(
        _ set: [String], at place: String = "https://www.example.com/a/b", to target: String? = nil,
        after seconds: Int = 0
    ) throws -> String? {
        var jar = CookieJar()
        jar.store(set, from: try RequestURL(place), now: Self.now)
        return jar.header(for: try RequestURL(target ?? place), now: Self.now + seconds)
    }

    @Test(
        "an accepted cookie is sent back with its name and value unchanged",
        arguments: [
            ("a=b", "a=b"), (" a = b ; Path=/a", "a=b"), ("a=", "a="), ("a=b=c", "a=b=c"),
            ("a=\"b c\"", "a=\"b c\""),
            ("a=b;", "a=b"), ("a=b; nonsense; =x; SameSite=Strict; HttpOnly; Priority=High", "a=b"),
            ("a=é", "a=é"),
            ("a=b; Path=x", "a=b"), ("a=b; Path=", "a=b"), ("a=b; path=/A; PATH=/a", "a=b"), ("A=b", "A=b"),
            ("a=b; Expires=soon", "a=b"), ("a=b; Max-Age=x", "a=b"), ("a=b; Max-Age=", "a=b"),
            ("a=b; Domain=", "a=b"),
            ("a=b,c", "a=b,c"), ("a=b; Secure=false", "a=b"),
            ("a=b; Path=/\(String(repeating: "x", count: 1100))", "a=b"),
        ])
    func returnsCookiesUnchanged(_ set: String, _ field: String) throws {
        #expect(try sent([set]) == field)
    }

    @Test(
        "an invalid or oversized cookie is ignored",
        arguments: [
            "", "a", ";", "=b", " =b", "a\0=b", "a=b\r\nX: y", "a=\u{7f}", "a=b\u{1}", "a=b\tc", "a=\u{fffd}",
            "; a=b", "a=\(String(repeating: "b", count: CookieJar.maximumCookieBytes))",
            "a=b; x=\(String(repeating: "b", count: CookieJar.maximumFieldBytes))",
        ])
    func ignoresInvalidCookies(_ set: String) throws {
        #expect(try sent([set]) == nil)
    }

    @Test(
        "the domain is the own host, or one above it that contains a dot",
        arguments: [
            ("", "www.example.com", true), ("", "example.com", false), ("", "a.www.example.com", false),
            ("Domain=example.com", "example.com", true), ("Domain=.example.com", "other.example.com", true),
            ("Domain=EXAMPLE.com", "a.b.example.com", true), ("Domain=example.com", "badexample.com", false),
            ("Domain=www.example.com", "a.www.example.com", true),
            ("Domain=www.example.com", "example.com", false),
            ("Domain=com", "www.example.com", false), ("Domain=.com", "example.com", false),
            ("Domain=com.", "www.example.com", false), ("Domain=.", "www.example.com", false),
            ("Domain=other.com", "other.com", false), ("Domain=a.www.example.com", "www.example.com", false),
            ("Domain=ple.com", "www.example.com", false),
            ("Domain=a.com; Domain=example.com", "example.com", true),
            ("Domain=é", "www.example.com", false),
        ])
    func restrictsDomains(_ attribute: String, _ host: String, _ isSent: Bool) throws {
        #expect((try sent(["a=b; Path=/; \(attribute)"], to: "https://\(host)/") != nil) == isSent)
    }

    @Test("an address has no domain above it, and a name without a dot has none below it")
    func addressesHaveNoParentDomain() throws {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let place = "http://\(host)/"
            #expect(try sent(["a=b"], at: place) == "a=b")
            #expect(try sent(["a=b; Domain=\(host)"], at: place) == "a=b", "its own name is no wish for more")
            #expect(
                try sent(
                    ["a=b; Domain=\(host)"], at: place, to: "http://x.\(host == "localhost" ? host : "h")/")
                    == nil)
        }
        #expect(try sent(["a=b; Domain=0.0.1"], at: "http://127.0.0.1/") == nil)
        #expect(try sent(["a=b; Domain=0.0.1"], at: "http://127.0.0.1/", to: "http://126.0.0.1/") == nil)
        #expect(try sent(["a=b; Domain=bücher.example"], at: "http://x.bücher.example/") == "a=b")
    }

    @Test("cookies are shared between ports of a host, but not between two names of the same address")
    func sharesCookiesBetweenPorts() throws {
        #expect(try sent(["a=b"], at: "http://h.example:81/", to: "http://H.example:82/") == "a=b")
        #expect(try sent(["a=b"], at: "http://localhost/", to: "http://127.0.0.1/") == nil)
    }

    @Test(
        "a cookie is sent only to its path and to paths below it",
        arguments: [
            ("", "/a/c", true), ("", "/a", true), ("", "/ab", false), ("", "/", false),
            ("Path=/", "/x", true),
            ("Path=/a/b", "/a/b", true), ("Path=/a/b", "/a/b/c?q", true), ("Path=/a/b", "/a/bc", false),
            ("Path=/a/b/", "/a/b", false), ("Path=/a/b/", "/a/b/c", true), ("Path=/x", "/x/y", true),
            ("Path=/x; Path=", "/a/c", true), ("Path=/%61", "/a/c", false), ("Path=/A", "/a/c", false),
        ])
    func sendsOnlyBelowPath(_ attribute: String, _ path: String, _ isSent: Bool) throws {
        #expect((try sent(["a=b; \(attribute)"], to: "https://www.example.com\(path)") != nil) == isSent)
    }

    @Test("the default path is the part of the request's path before the last slash")
    func defaultPathEndsAtLastSlash() throws {
        for (place, path) in [
            ("/", "/x"), ("/a", "/x"), ("?q=/y/z", "/x"), ("/a/", "/a/x"), ("/a/b?c/d", "/a/x"),
        ] {
            #expect(
                try sent(["a=b"], at: "http://h.example\(place)", to: "http://h.example\(path)") == "a=b",
                "\(place)")
        }
        #expect(try sent(["a=b"], at: "http://h.example/a/b?c/d", to: "http://h.example/x") == nil)
    }

    @Test("a Secure cookie is set only by a secure origin, and sent only to secure origins")
    func secureCookiesStaySecure() throws {
        #expect(try sent(["a=b; Secure"], to: "https://www.example.com/a/") == "a=b")
        #expect(try sent(["a=b; secure"], to: "http://www.example.com/a/") == nil)
        #expect(try sent(["a=b; Secure"], at: "http://h.example/", to: "https://h.example/") == nil)
        #expect(try sent(["a=b"], at: "http://h.example/", to: "https://h.example/") == "a=b")
        var jar = CookieJar()
        let (plain, secure) = (try RequestURL("http://h.example/"), try RequestURL("https://h.example/"))
        jar.store(["a=secret; Secure"], from: secure, now: 0)
        jar.store(["a=forged", "b=c", "a=gone; Max-Age=0"], from: plain, now: 0)
        #expect(jar.header(for: secure, now: 0) == "a=secret; b=c")
        #expect(jar.header(for: plain, now: 0) == "b=c")
    }

    @Test(
        "cookies with the prefix __Secure- or __Host- are accepted only if they meet its conditions",
        arguments: [
            ("__Secure-a=b; Secure", true), ("__Secure-a=b", false), ("__SECURE-a=b", false),
            ("__Host-a=b; Secure; Path=/", true), ("__Host-a=b; Secure", false),
            ("__Host-a=b; Path=/", false),
            ("__host-a=b; Secure; Path=/; Domain=www.example.com", false),
            ("__Host-a=b; Secure; Path=/a", false),
            ("__Hosta=b", true),
        ])
    func enforcesNamePrefixes(_ set: String, _ isTaken: Bool) throws {
        #expect((try sent([set]) != nil) == isTaken)
    }

    @Test(
        "a cookie expires at its end, for which Max-Age takes precedence over Expires",
        arguments: [
            ("", 1 << 40, true), ("Max-Age=10", 9, true), ("Max-Age=10", 10, false), ("Max-Age=0", 0, false),
            ("Max-Age=-1", 0, false), ("max-age=\(String(repeating: "9", count: 100))", 1 << 40, true),
            ("Max-Age=-\(String(repeating: "9", count: 100))", 0, false),
            ("Expires=Sun, 09 Sep 2001 01:46:41 GMT", 0, true),
            ("Expires=Sun, 09 Sep 2001 01:46:41 GMT", 1, false),
            ("Expires=Sun, 09 Sep 2001 01:46:40 GMT", 0, false),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0, false),
            ("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0, true),
            ("Expires=Fri, 31 Dec 9999 23:59:59 GMT; Max-Age=0", 0, false),
            ("Max-Age=1.5; Expires=x", 5, true),
        ])
    func maxAgePrecedesExpires(_ attributes: String, _ seconds: Int, _ isSent: Bool) throws {
        #expect((try sent(["a=b; \(attributes)"], after: seconds) != nil) == isSent)
    }

    @Test("a cookie replaces or removes an earlier one of the same name, domain and path")
    func replacesEqualCookies() throws {
        let url = try RequestURL("https://www.example.com/a/b")
        var jar = CookieJar()
        jar.store(["a=1", "b=2", "a=3"], from: url, now: 0)
        #expect(jar.header(for: url, now: 0) == "a=3; b=2", "it keeps its age")
        jar.store(["a=4; Path=/", "a=5; Domain=www.example.com"], from: url, now: 0)
        #expect(jar.header(for: url, now: 0) == "a=3; b=2; a=5; a=4", "these are others")
        jar.store(["a=; Max-Age=0", "c=1; Max-Age=0"], from: url, now: 0)
        #expect(jar.header(for: url, now: 0) == "b=2; a=5; a=4")
    }

    @Test("cookies with longer paths are sent first, then older ones")
    func sendsLongerPathsFirst() throws {
        let set = ["a=1; Path=/", "b=2; Path=/a/b", "c=3; Path=/a", "d=4; Path=/a/b", "e=5; Path=/"]
        #expect(try sent(set) == "b=2; d=4; c=3; a=1; e=5")
    }

    @Test("the jar is limited by number and size, and the oldest cookies are removed")
    func removesOldestCookiesAtLimit() throws {
        let url = try RequestURL("http://h.example/")
        var jar = CookieJar()
        jar.store((0..<200).map { "n\($0)=v" }, from: url, now: 0)
        let names = (jar.header(for: url, now: 0) ?? "").split(separator: "; ")
        #expect(names.count == CookieJar.maximumCount && names.first == "n150=v" && names.last == "n199=v")
        let large = String(repeating: "v", count: CookieJar.maximumCookieBytes - 1)
        jar.store(["a=\(large)"], from: url, now: 0)
        #expect(jar.header(for: url, now: 0)?.hasSuffix("; a=\(large)") == true)
        jar.store(["b=\(large)"], from: url, now: 0)
        #expect(
            (jar.header(for: url, now: 0)?.utf8.count ?? 0) <= CookieJar.maximumBytes + 4
                * CookieJar.maximumCount)
        #expect(jar.header(for: url, now: 0)?.hasSuffix("b=\(large)") == true)
    }

    @Test("the caller's cookies are sent too, except those that were set again")
    func mergesCallersCookies() throws {
        let url = try RequestURL("http://h.example/")
        var jar = CookieJar()
        #expect(jar.header(for: url, now: 0, merging: nil) == nil)
        #expect(jar.header(for: url, now: 0, merging: "a=1;b=2") == "a=1;b=2")
        jar.store(["b=3", "c=4"], from: url, now: 0)
        #expect(jar.header(for: url, now: 0, merging: nil) == "b=3; c=4")
        #expect(jar.header(for: url, now: 0, merging: "") == "b=3; c=4")
        #expect(jar.header(for: url, now: 0, merging: "a=1;b=2 ;; B=5; x") == "a=1; B=5; x; b=3; c=4")
        #expect(jar.header(for: url, now: 0, merging: "b=2; b=\u{301}") == "b=3; c=4")
        #expect(jar.header(for: try RequestURL("http://g.example/"), now: 0, merging: "a=1") == "a=1")
    }

    @Test("large and unusual fields are processed quickly")
    func processesLargeFieldsQuickly() throws {
        let url = try RequestURL("http://h.example/" + String(repeating: "/", count: 4000))
        let took = ProcessorTime.of {
            var jar = CookieJar()
            for piece in [
                "a=\u{301};", ";", "=", "a=b; Expires=1 1 1 1 1 1:1:1;", "a=b; Domain=é.", " \t", "a\u{301}",
            ] {
                let text = String(repeating: piece, count: 100_000 / piece.utf8.count)
                jar.store([text, String(text.prefix(1000)), "a=b;" + text], from: url, now: 0)
            }
            jar.store((0..<20_000).map { "\($0)=" }, from: url, now: 0)
            jar.store(
                (0..<2000).map { "\u{301}\($0)=; Path=/\(String(repeating: "/", count: 100))" }, from: url,
                now: 0)
            _ = jar.header(for: url, now: 0, merging: String(repeating: "\u{301};", count: 30_000))
        }
        #expect(took < .seconds(10), "\(took)")
    }
}
