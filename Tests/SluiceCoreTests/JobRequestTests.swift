import Foundation
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing

@Suite("A job's request")
struct JobRequestTests {
    private func request(_ change: (inout Ingest.FetchParameters) -> Void) throws -> JobRequest {
        var parameters = Ingest.FetchParameters(url: "http://h/")
        change(&parameters)
        return try JobRequest(parameters, settings: Settings())
    }

    private func refused(
        _ parameter: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout Ingest.FetchParameters) -> Void
    ) {
        let error = #expect(throws: RequestError.self, sourceLocation: sourceLocation) {
            try request(change)
        }
        #expect(error?.parameter == parameter, sourceLocation: sourceLocation)
        #expect(error?.description.contains("\n") == false, sourceLocation: sourceLocation)
    }

    @Test("retries range from 0 to 1,000, and are the service's number by default")
    func boundsRetries() throws {
        for number in [0, 1, 1000] { #expect(try request { $0.retries = number }.retries == number) }
        for number in [-1, 1001, .min, .max] { refused("retries") { $0.retries = number } }
        var settings = Settings()
        settings.retries.retries = 17
        #expect(try JobRequest(Ingest.FetchParameters(url: "http://h/"), settings: settings).retries == 17)
    }

    @Test("head timeout and minimum speed are the service's by default, and a minimum speed of 0 means none")
    func defaultsHeadTimeoutAndSpeed() throws {
        var settings = Settings()
        settings.timeouts.head = 7
        settings.timeouts.minimumSpeed = 8
        var parameters = Ingest.FetchParameters(url: "http://h/")
        let usual = try JobRequest(parameters, settings: settings)
        #expect(usual.timeouts.head == 7 && usual.timeouts.minimumSpeed == 8)
        parameters.headTimeoutSeconds = 0.5
        parameters.minimumSpeed = 0
        let own = try JobRequest(parameters, settings: settings)
        #expect(own.timeouts.head == 0.5 && own.timeouts.minimumSpeed == nil)
        #expect(try JobRequest(restoring: own.parameters) == own)
        #expect(try request { _ in }.timeouts == Settings().timeouts)
        for speed in [1, 1 << 40] {
            #expect(try request { $0.minimumSpeed = speed }.timeouts.minimumSpeed == speed)
        }
        for speed in [-1, 1 << 40 + 1, .min, .max] { refused("minimumSpeed") { $0.minimumSpeed = speed } }
        for seconds in [0, -1, 31_536_001, .nan, .infinity] {
            refused("headTimeoutSeconds") { $0.headTimeoutSeconds = seconds }
        }
    }

    @Test("a time longer than the administrator allows is refused with its limit; the default never is")
    func refusesTimesAboveMaximum() throws {
        let absurd = 31_536_000.0
        refused("connectTimeoutSeconds") { $0.connectTimeoutSeconds = absurd }
        refused("connectTimeoutSeconds") { $0.connectTimeoutSeconds = 300.5 }
        refused("headTimeoutSeconds") { $0.headTimeoutSeconds = absurd }
        refused("silenceTimeoutSeconds") { $0.silenceTimeoutSeconds = absurd }
        #expect(try request { $0.connectTimeoutSeconds = 300 }.timeouts.connect == 300)
        #expect(try request { $0.headTimeoutSeconds = 3600 }.timeouts.head == 3600)
        #expect(try request { $0.silenceTimeoutSeconds = 3600 }.timeouts.silence == 3600)
        #expect(try request { $0.stallTimeoutSeconds = 7 }.timeouts.silence == 7, "the former name")
        refused("stallTimeoutSeconds") {
            $0.stallTimeoutSeconds = 7
            $0.silenceTimeoutSeconds = 7
        }
        #expect(try request { $0.deadlineSeconds = absurd }.timeouts.deadline == absurd)
        var settings = Settings()
        settings.longest.connect = 10
        settings.longest.deadline = 60
        var parameters = Ingest.FetchParameters(url: "http://h/")
        // The default of the service is 30 s.
        #expect(try JobRequest(parameters, settings: settings).timeouts.connect == 30)
        #expect(try JobRequest(parameters, settings: settings).timeouts.deadline == 60)
        parameters.connectTimeoutSeconds = 30
        #expect(try JobRequest(parameters, settings: settings).timeouts.connect == 30)
        parameters.deadlineSeconds = 60.5
        let error = #expect(throws: RequestError.self) { try JobRequest(parameters, settings: settings) }
        #expect(error?.parameter == "deadlineSeconds" && error?.reason.contains("60.5 s") == true)
        #expect(error?.remedy.contains("timeouts.maximum_deadline_seconds") == true)
        // A job that was accepted stays valid, whatever the settings are now.
        settings.longest.deadline = nil
        settings.longest.connect = absurd
        parameters.connectTimeoutSeconds = absurd
        let job = try JobRequest(parameters, settings: settings)
        #expect(try JobRequest(restoring: job.parameters) == job)
    }

    @Test("the optional flags of a job are off by default")
    func flagsAreOffByDefault() throws {
        for value in [nil, false, true] {
            let request = try request {
                $0.identity = value; $0.allowDowngrade = value; $0.http1 = value
            }
            let order = LaneOrder(serial: 1, request: request)
            for flag in [order.requiresIdentity, order.redirects.allowsDowngrade, order.http1Only] {
                #expect(flag == (value ?? false))
            }
        }
    }

    @Test(
        "a redirect from https to http is allowed with an expected digest, not with one that is only reported"
    )
    func expectedDigestAllowsDowngrade() throws {
        #expect(try request { $0.digest = "sha256:" + String(repeating: "0", count: 64) }.allowsDowngrade)
        #expect(try !request { $0.digest = "sha256" }.allowsDowngrade)
    }

    @Test("a request stored by an older service is accepted, with defaults for parameters unknown to it")
    func acceptsRequestOfOlderService() throws {
        let stored = """
            {"url":"http://h/","headers":[],"highWatermark":1048576,"lowWatermark":262144,
            "connectTimeoutSeconds":3,"silenceTimeoutSeconds":60,"retries":4}
            """
        let parameters = try JSONDecoder().decode(Ingest.FetchParameters.self, from: Data(stored.utf8))
        let request = try JobRequest(restoring: parameters)
        #expect(request.timeouts == Timeouts(connect: 3, head: 300, silence: 60, deadline: nil))
        #expect(!request.requiresIdentity && !request.allowsDowngrade && !request.http1Only)
    }

    @Test("a digest is checked when the job is requested")
    func checksDigestAtOnce() throws {
        #expect(try request { $0.digest = "sha256" }.digest?.algorithm == .sha256)
        refused("digest") { $0.digest = "sha256:00" }
        refused("digest") { $0.digest = "" }
    }

    @Test(
        "valid lists of entity-tags are accepted (RFC 9110 §13.1.2)",
        arguments: [
            "\"a\"", "W/\"a\"", "\"\"", "\"a\", \"b\"", "\"a\",\"b\"", "\"a\" ,\tW/\"b\" , \"c\"",
            "  \"a\"  ",
            "\"a,b\"", "\"W/\"", "\"!#[]\\\"", "\"*\"",
        ])
    func acceptsListsOfEntityTags(_ text: String) throws {
        let trimmed = text.trimmingCharacters(in: .whitespaces)
        #expect(try request { $0.ifNoneMatch = text }.ifNoneMatch == trimmed)
    }

    @Test(
        "an invalid list of entity-tags is refused",
        arguments: [
            "", " ", "*", "a", "\"a", "a\"", "W/", "W/a", "w/\"a\"", "W /\"a\"", "W/W/\"a\"", "\"a\" \"b\"",
            "\"a\"\"b\"",
            ",", "\"a\",", "\"a\", ", ",\"a\"", "\"a\",,\"b\"", "\"a b\"", "\"a\tb\"", "\"a\r\nHost: x\"",
            "\"a\"\r\n",
            "\"a\0\"", "\"é\"", "\"a\u{301}\"", "\"\u{301}a\"", "\"a\"\u{301}", "“a”", "\"a\"; \"b\"",
        ])
    func refusesInvalidEntityTagLists(_ text: String) {
        refused("ifNoneMatch") { $0.ifNoneMatch = text }
    }

    @Test("a list of entity-tags is accepted up to the size limit, and a longer one is refused quickly")
    func boundsEntityTagList() throws {
        let longest = "\"" + String(repeating: "a", count: JobRequest.maximumIfNoneMatch - 2) + "\""
        #expect(try request { $0.ifNoneMatch = longest }.ifNoneMatch == longest)
        refused("ifNoneMatch") { $0.ifNoneMatch = longest + " " }
        let took = ProcessorTime.of {
            refused("ifNoneMatch") { $0.ifNoneMatch = String(repeating: "\"a\",", count: 60_000) }
        }
        #expect(took < .seconds(5), "\(took)")
    }

    @Test("the longest URL is stored in the form in which it is sent, and accepted again")
    func longestURLIsAcceptedAgain() throws {
        let start = "http://h?"
        for length in [RequestURL.maximumLength - 1, RequestURL.maximumLength] {
            let text = start + String(repeating: "a", count: length - start.utf8.count)
            // `RequestURL` adds a slash to it.
            guard let url = try? RequestURL(text) else {
                #expect(length == RequestURL.maximumLength)
                continue
            }
            #expect(url.text.utf8.count <= RequestURL.maximumLength)
            #expect(try RequestURL(url.text) == url)
        }
    }

    // MARK: Stored and restored

    @Test(
        "an accepted request is accepted again when it is restored, and is unchanged",
        arguments: 1...8 as ClosedRange<UInt64>)
    func restoresAcceptedRequests(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let (parameters, settings) = try Self.valid(using: &generator)
            let request = try JobRequest(parameters, settings: settings)
            #expect(try JobRequest(restoring: request.parameters) == request)
            let stored = try JSONEncoder().encode(request.parameters)
            let read = try JSONDecoder().decode(Ingest.FetchParameters.self, from: stored)
            #expect(try JobRequest(restoring: read) == request, "through JSON")
        }
    }

    @Test("a stored request is checked like any other")
    func checksStoredRequests() {
        var parameters = Ingest.FetchParameters(url: "file:///etc/passwd")
        #expect(throws: RequestError.self) { try JobRequest(restoring: parameters) }
        parameters.url = "http://h/"
        parameters.headers = [HeaderField(name: "Range", value: "bytes=0-")]
        #expect(throws: RequestError.self) { try JobRequest(restoring: parameters) }
    }

    /// A valid request, with each of its fields given or left out at random, and settings for it.
    private static func valid(using generator: inout SeededGenerator) throws -> (
        Ingest.FetchParameters, Settings
    ) {
        func maybe<Value>(_ value: Value) -> Value? { Bool.random(using: &generator) ? value : nil }
        func hexadecimal(_ bytes: Int) -> String {
            (0..<2 * bytes).map { _ in
                String("0123456789abcdefABCDEF".randomElement(using: &generator) ?? "0")
            }
            .joined()
        }
        var settings = Settings()
        settings.gate.maximumHighWatermark = 1 << 30
        settings.longest = .any
        settings.gate.highWatermark = Int.random(in: 1...1 << 24, using: &generator)
        settings.gate.lowWatermark = Int.random(in: 0..<settings.gate.highWatermark, using: &generator)
        settings.timeouts.deadline = maybe(Double.random(in: 0.001...1e6, using: &generator))
        settings.limits.maximumSize = maybe(Int.random(in: 1...Int.max, using: &generator))
        settings.timeouts.head = Double.random(in: 0.001...1e6, using: &generator)
        settings.timeouts.minimumSpeed = maybe(Int.random(in: 1...1 << 40, using: &generator))
        settings.retries.retries = Int.random(in: 0...1000, using: &generator)
        #expect(settings.problems().isEmpty)

        let urls = ["http://h", "HTTPS://Host:8443/a%20b?c=d&e#f", "http://h?q", "https://1.2.3.4:/x/../y"]
        var parameters = Ingest.FetchParameters(url: try #require(urls.randomElement(using: &generator)))
        parameters.headers = maybe(
            (0..<Int.random(in: 0...5, using: &generator)).map {
                HeaderField(name: "X-\($0)", value: String(repeating: "a \"\\/", count: $0))
            })
        if let high = maybe(Int.random(in: 1...1 << 30, using: &generator)) {
            parameters.highWatermark = high
            parameters.lowWatermark = maybe(Int.random(in: 0..<high, using: &generator))
        }
        parameters.connectTimeoutSeconds = maybe(Double.random(in: 0.001...1e7, using: &generator))
        parameters.silenceTimeoutSeconds = maybe(Double.random(in: 0.001...1e-2, using: &generator))
        parameters.deadlineSeconds = maybe(Double.random(in: 0.001...31_536_000, using: &generator))
        parameters.maximumSize = maybe(Int.random(in: 0...Int.max, using: &generator))
        parameters.retries = maybe(Int.random(in: 0...1000, using: &generator))
        parameters.digest = maybe(
            ["sha256", "SHA512", "sha256:" + hexadecimal(32), "Sha512:" + hexadecimal(64)]
                .randomElement(using: &generator) ?? "sha256")
        parameters.headTimeoutSeconds = maybe(Double.random(in: 0.001...1e7, using: &generator))
        parameters.minimumSpeed = maybe(Int.random(in: 0...1 << 40, using: &generator))
        parameters.identity = maybe(Bool.random(using: &generator))
        parameters.allowDowngrade = maybe(Bool.random(using: &generator))
        parameters.http1 = maybe(Bool.random(using: &generator))
        parameters.ifNoneMatch = maybe(" \"a\", W/\"\(hexadecimal(4))\" ")
        return (parameters, settings)
    }

    @Test(
        "a parked job's order lowers the high watermark to what its last attempt delivered, at least 256 KiB")
    func narrowsWatermarksAfterParking() throws {
        let request = try request {
            $0.highWatermark = 1 << 20; $0.lowWatermark = 256 << 10
        }
        for (delivered, high, low) in [
            (0, 256 << 10, 64 << 10), (400 << 10, 400 << 10, 100 << 10), (1 << 20, 1 << 20, 256 << 10),
            (1 << 30, 1 << 20, 256 << 10),
        ] {
            var order = LaneOrder(serial: 1, request: request)
            order.narrow(to: delivered)
            #expect(order.highWatermark == high && order.lowWatermark == low, "\(delivered)")
        }
        var small = LaneOrder(
            serial: 1,
            request: try self.request {
                $0.highWatermark = 4096; $0.lowWatermark = 4095
            })
        small.narrow(to: 0)
        #expect(small.highWatermark == 4096 && small.lowWatermark == 4095)
    }
}
