import SluiceInterface
import TestKit
import Testing

@testable import SluiceCore

/// Nothing that a server can send may stop a process, or deliver a byte that is not known to be the right one.
@Suite("Noise on the wire")
struct WireNoiseTests {
    private static let names = [
        "etag", "last-modified", "date", "content-range", "content-length", "transfer-encoding",
        "content-encoding",
        "content-type",
    ]

    @Test(
        "whatever the fields are, a body continues only with the next byte of the same version",
        arguments: 1...8 as ClosedRange<UInt64>)
    func noiseNeverCorruptsContinuation(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var taken = 0
        for _ in 0..<1500 {
            let place = "http://h/"
            let length = [nil, 5, 20, 100].randomElement(using: &generator) ?? nil
            let known = Representation(
                url: place, sendsHeaders: true, version: .strong(Validator(kind: .etag, text: "\"abc\"")),
                length: length, framing: length == nil ? .chunked : .length)
            let position = Int.random(in: 1...(length ?? 5), using: &generator)
            // Valid fields, some of them damaged: noise alone would never pass the first check.
            var fields = [
                "etag": "\"abc\"", "content-range": "bytes \(position)-19/20",
                "content-length": "\(20 - position)",
            ]
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let name = Self.names.randomElement(using: &generator) ?? "etag"
                fields[name] = Bool.random(using: &generator) ? WireNoise.text(using: &generator) : nil
            }
            let status = [206, 206, 200, 416, 503].randomElement(using: &generator) ?? 206
            let decision = ContinuationRules.judge(
                status: status, url: place, position: position, known: known,
                asksForAll: Bool.random(using: &generator), field: { fields[$0] })
            switch decision {
            case .goOn(let remaining, let whole, _):
                taken += 1
                #expect(status == 206 && fields["etag"]?.contains("\"abc\"") == true)
                #expect(
                    (remaining ?? 0) > 0
                        && position + (remaining ?? 0) <= (whole ?? ContentRange.largestLength), "\(fields)")
                #expect(length == nil || whole == length, "\(fields)")
            case .startOver(let whole, _):
                taken += 1
                #expect(status == 200 && fields["etag"]?.contains("\"abc\"") == true)
                #expect((whole ?? position) >= position && (length == nil || whole == length), "\(fields)")
            case .isComplete:
                #expect(status == 416 && (length ?? position) == position, "\(fields)")
            case .refuse(_, let message):
                #expect(message.utf8.count < 600 && !message.contains("\n"))
            }
        }
        #expect(taken > 50, "only \(taken) of the answers were good: the noise drowns everything")
    }

    @Test(
        "no field value stops a parser or makes its result exceed the limits",
        arguments: 1...8 as ClosedRange<UInt64>)
    func noiseNeverStopsParsers(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1500 {
            let text = WireNoise.text(using: &generator)
            if let moment = HTTPDate.parse(text) { #expect(abs(moment) < 1 << 40, "\(text)") }
            switch ContentRange(text) {
            case .part(let first, let last, let complete):
                #expect(0 <= first && first <= last && last < (complete ?? .max), "\(text)")
            case .unsatisfied(let complete): #expect(complete >= 0)
            case nil: break
            }
            let fields = Dictionary(
                Self.names.map { ($0, WireNoise.text(using: &generator)) }, uniquingKeysWith: { $1 })
            if let validator = Version(field: { fields[$0] }).validator {
                #expect(
                    validator.text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "it is sent in If-Range")
                #expect(validator.text.utf8.count <= Validator.maximumLength)
            }
            if let pause = RetryPolicy.retryAfter(text, now: 1_800_000_000) {
                #expect(pause >= 0 && pause.isFinite, "\(text)")
            }
            for digest in BodyDigest.inField(text) {
                #expect(digest.hexadecimal.utf8.count == 2 * digest.algorithm.byteCount)
            }
            _ = try? DigestRequest(text)
            _ = ResponseRules.judge(
                status: Int.random(in: 200...299, using: &generator), field: { fields[$0] },
                maximumSize: 1 << 20, identityOnly: Bool.random(using: &generator))
            if let coding = ContentCoding.normalised(text) {
                #expect(coding.utf8.count <= ContentCoding.maximumLength && ContentCoding.isPlausible(coding))
            }
            var jar = CookieJar()
            if let url = try? RequestURL("http://h.example/") {
                jar.store([text, "a=" + text], from: url, now: 0)
                let field = jar.header(for: url, now: 1, merging: text) ?? ""
                #expect(
                    jar.isEmpty
                        || field.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x09 || text.utf8.contains($0) })
                if let target = try? url.redirected(to: [Array(text.utf8)], allowingDowngrade: true) {
                    #expect((try? RequestURL(target.text)) == target, "\(text)")
                }
            }
        }
    }
}
