import TestKit
import Testing
import Unix

/// Facts about what is sent, to which server, and what is kept.
@Suite("Facts: what is sent and kept", .serialized)
struct RequestFacts {
    @Test("F9: a redirect to another origin is followed with Authorization, Cookie and custom headers")
    func redirectKeepsHeaders() throws {
        let other = try BadOrigin(host: "127.0.0.2") { try $0.respond(body: [1]) }
        let target = other.url("/there")
        let origin = try BadOrigin { try $0.respond("302 Found", headers: ["Location: \(target)"]) }
        let outcome = try Probe().outcome(
            origin.url(),
            headers: [
                "Authorization:Bearer x", "Cookie:a=b", "X-Secret:c", "Range:bytes=5-", "If-Range:\"e\"",
            ])
        #expect(outcome.number("code") == 0)
        let request = try #require(other.requests.first)
        for (name, value) in [("Authorization", "Bearer x"), ("Cookie", "a=b"), ("X-Secret", "c")] {
            #expect(
                request[name] == value, "\(revisit("F9", "\(name) stays with its origin: \(request.raw)"))")
        }
        // The lane's own headers must survive.
        #expect(request["Range"] == "bytes=5-")
        #expect(request["If-Range"] == "\"e\"")
    }

    @Test(
        "F18: relative redirects are resolved wrongly",
        arguments: [("sub/y", "/sub/y"), ("?q=1", "/?q=1"), ("/abs", "/abs"), ("../up", "/up")])
    func resolvesRelativeRedirectsWrongly(_ location: String, _ fetched: String) throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        origin.on("/a/b/x") { try $0.respond("302 Found", headers: ["Location: \(location)"]) }
        _ = try Probe().outcome(origin.url("/a/b/x"))
        let target = origin.requests.last?.target
        #expect(target == fetched, "\(revisit("F18", "\(location) is fetched as \(target ?? "nothing")"))")
    }

    // Each chunk is appended to a copy of all earlier ones, so the cost grows with the square: 25 MB took 10 s.
    @Test("the body of a followed redirect is buffered in memory, and no data callback reports it")
    func redirectBodyIsBuffered() throws {
        let count = 8 << 20
        let gate = try Gate()
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        origin.on("/from") { connection in
            try connection.sendHead("302 Found", headers: ["Location: /to", "Content-Length: \(count + 1)"])
            try connection.send(Pattern(), 0..<count)
            try connection.wait(for: gate)
            try connection.send([0])
        }

        let probe = try Probe()
        let before = try probe.writtenBytes()
        try probe.fetch(origin.url("/from"))
        try origin.waitForBytes(count)
        try eventually("the redirect's body is no longer buffered: the lane's guard against it can go") {
            try probe.writtenBytes() - before > count * 8 / 10
        }
        gate.open()
        let outcome = try probe.next("complete")
        #expect(outcome.number("received") == 1)
    }

    @Test("F11: a Basic challenge under default handling never completes")
    func defaultChallengeNeverCompletes() throws {
        let (origin, probe) = try challenged("default")
        try probe.fetch(origin.url())
        #expect(try probe.next("response").number("status") == 401)
        _ = try probe.next("challenge")
        #expect(
            !probe.sees("complete", within: .milliseconds(700)),
            "\(revisit("F11", "default handling completes"))")
    }

    @Test("F11: answering the challenge inside the callback of an inline queue stops the session")
    func inlineChallengeAnswerStopsSession() throws {
        let (origin, probe) = try challenged("inline")
        try probe.fetch(origin.url())
        _ = try probe.next("challenge")
        let completed = probe.sees("complete", within: .milliseconds(700))
        #expect(!completed, "\(revisit("F11", "challenges may be answered in the callback"))")
    }

    @Test(
        "F11: the 401 is reported before the challenge; cancelling it from another thread leaves the session idle"
    )
    func outsideCancelLeavesSessionIdle() throws {
        let (origin, probe) = try challenged("outside")
        try probe.fetch(origin.url())
        #expect(try probe.next("response").number("status") == 401)
        _ = try probe.next("challenge answered")
        try probe.send("idle")
        _ = try probe.next("idle")
        origin.on("/open") { try $0.respond(body: [1, 2]) }
        try probe.fetch(origin.url("/open"))
        let outcome = try probe.next("complete") { $0["task"] == "2" }
        #expect(outcome.number("received") == 2, "\(outcome)")
    }

    private func challenged(_ answer: String) throws -> (BadOrigin, Probe) {
        let origin = try BadOrigin { connection in
            try connection.respond(
                "401 Unauthorized", headers: ["WWW-Authenticate: Basic realm=\"r\""], body: Array("no".utf8))
        }
        return (origin, try Probe("challenge=\(answer)"))
    }

    @Test("F14: a header value with CR or LF is dropped silently")
    func dropsHeaderWithNewline() throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let probe = try Probe()
        // The probe's commands are lines, so the line break is named by another character.
        let outcome = try probe.outcome(origin.url(), headers: ["X-Bad:a\u{1}b", "X-Good:c"])
        let request = try #require(origin.requests.first)
        #expect(outcome.number("code") == 0)
        #expect(request["X-Good"] == "c")
        #expect(request["X-Bad"] == nil, "\(revisit("F14", "the header arrives: \(request.raw)"))")
        #expect(!request.raw.contains("X-Evil"))
    }

    @Test("F14: a URL longer than libcurl's limit fails with -1000")
    func refusesOverlongURL() throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let probe = try Probe()
        try probe.fetch(origin.url("/" + String(repeating: "a", count: 8_000_001)))
        #expect(try probe.next("complete").number("code") == -1000)
    }

    @Test("F15: http_proxy is honoured, and no_proxy exempts hosts from it")
    func honoursProxyVariables() throws {
        let proxy = try BadOrigin { try $0.respond(body: [1, 2, 3]) }
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let through = try Probe(environment: ["http_proxy": proxy.url("")]).outcome(origin.url("/x"))
        #expect(through.number("received") == 3)
        #expect(proxy.requests.first?.target == origin.url("/x"))
        let around = try Probe(environment: ["http_proxy": proxy.url(""), "no_proxy": "127.0.0.1"])
        #expect(try around.outcome(origin.url("/y")).number("received") == 1)
        #expect(proxy.requests.count == 1)
    }

    @Test("F15: the proxy in https_proxy receives a CONNECT")
    func httpsProxyReceivesConnect() throws {
        let proxy = try BadOrigin { try $0.respond("403 Forbidden", body: []) }
        let outcome = try Probe(environment: ["https_proxy": proxy.url("")]).outcome(
            "https://sluice.invalid/")
        #expect(outcome.number("code") != 0)
        #expect(proxy.requests.first?.method == "CONNECT")
        #expect(proxy.requests.first?.target == "sluice.invalid:443")
    }

    @Test("F17: a reused ephemeral session sends one job's cookies with the next, unless its storage is nil")
    func reusedSessionSendsOldCookies() throws {
        let origin = try BadOrigin { try $0.respond(headers: ["Set-Cookie: job=1; Path=/"], body: [1]) }
        for (options, expected) in [(["cookies"], "job=1"), ([], nil)] as [([String], String?)] {
            let probe = options.isEmpty ? try Probe() : try Probe(options[0])
            _ = try probe.outcome(origin.url())
            _ = try probe.outcome(origin.url())
            #expect(origin.requests.last?["Cookie"] == expected)
        }
    }
}
