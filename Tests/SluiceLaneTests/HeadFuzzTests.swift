import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing

/// Odd heads through a real URLSession: Foundation must accept every head that the shim lets through.
///
/// `make test-heads` sends 100,000 of them; SLUICE_TEST_HEADS_SEED repeats a run. `make fuzz-head` fuzzes the
/// collector of heads alone, with millions of lines.
@Suite("Odd heads", .serialized)
struct HeadFuzzTests {
    /// Parts from which heads are made. The valid ones are more frequent than the invalid ones.
    private struct HeadMaker {
        private var generator: SeededGenerator

        init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

        private mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &generator) }

        private mutating func pick(_ list: [String]) -> String { list[below(list.count)] }

        private static let statusLines = [
            "HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.0 200 ", "HTTP/1.1  200  OK",
            "HTTP/1.1 404 Not Found", "HTTP/1.1 206 Part", "HTTP/1.1 301 x", "HTTP/1.1 302 x",
            "HTTP/1.1 304 Not", "HTTP/1.1 401 No", "HTTP/1.1 407 No", "HTTP/1.1 500 \u{e9}", "HTTP/1.1 999 x",
            "HTTP/1.1 204 None", "HTTP/1.1 101 Switch", "HTTP/1.1 103 Early", "HTTP/2 200", "http/1.1 200 OK",
            "HTTP/1.1 20", "HTTP/1.1 2000 x", "HTTP/3.7 200 x", "HTTP 200", "ICY 200 OK", "",
        ]
        private static let names = [
            "Content-Length", "Content-Type", "ETag", "Last-Modified", "Location", "Transfer-Encoding",
            "Content-Encoding", "Content-Range", "WWW-Authenticate", "Set-Cookie", "Connection",
            "Retry-After",
            "Date", "Repr-Digest", "X", "X Y", "X\t", "\u{e9}", "", "Trailer", "Proxy-Authenticate",
            "Accept-Ranges",
        ]
        private static let values = [
            "5", "5", "0", "12, 12", "-1", "+5", "9223372036854775807", "18446744073709551616", "", " ", "\t",
            "gzip", "chunked", "identity", "gzip, chunked", "bytes 0-4/5", "bytes */5", "\"v\"", "W/\"v\"",
            "/elsewhere", "http://[", "http://127.0.0.1:1/", "Basic realm=\"x\"", "Digest", "a=b; Path=/",
            "close", "keep-alive", "Sun, 06 Nov 1994 08:49:37 GMT", "sha-256=:AAAA:", "\u{fffd}\u{e9}",
            "text/html; charset=\"", "none",
        ]
        private static let lineEnds = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\r\n", "\r"]

        /// The bytes of a response; some are cut, some are damaged.
        mutating func response() -> [UInt8] {
            var text = pick(Self.statusLines) + pick(Self.lineEnds)
            for _ in 0..<below(7) {
                if below(12) == 0 { text += " " }
                text += pick(Self.names) + (below(15) == 0 ? "" : below(8) == 0 ? " :" : ":")
                text += (below(4) == 0 ? "" : " ") + pick(Self.values) + pick(Self.lineEnds)
            }
            text += pick(Self.lineEnds) + "hello"
            var bytes = Array(text.utf8)
            if below(6) == 0 { bytes.removeLast(below(bytes.count)) }
            for _ in 0..<(below(5) == 0 ? 1 + below(3) : 0) where !bytes.isEmpty {
                bytes[below(bytes.count)] = UInt8.random(in: .min ... .max, using: &generator)
            }
            return bytes
        }
    }

    @Test("No head stops a lane, and each one leads to an outcome with a message")
    func survivesAllHeads() throws {
        let environment = Program.inheritedEnvironment()
        let count = Int(environment["SLUICE_TEST_HEADS"] ?? "") ?? 500
        let seed = UInt64(environment["SLUICE_TEST_HEADS_SEED"] ?? "") ?? UInt64(time(nil))
        let maker = Monitor(HeadMaker(seed: seed))
        let last = Monitor<[UInt8]>([])
        let origin = try BadOrigin { connection in
            let response = maker.update { $0.response() }
            last.update { $0 = response }
            try connection.send(response)
            connection.close()
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Pattern(seed: 1))
        for number in 0..<count {
            job.restart(at: 0)
            do {
                let order = try LaneOrder.test(origin.url()) { parameters in
                    parameters.connectTimeoutSeconds = 20
                    parameters.headTimeoutSeconds = 20
                    parameters.maximumSize = 100
                }
                let facts = try lane.run(order, of: job)
                guard facts.outcome.message.count > 8 else {
                    throw TestFailure("the outcome says nothing: \(facts)")
                }
            } catch {
                let head = String(decoding: last.read { $0 }, as: UTF8.self).debugDescription
                let end = lane.program.isRunning ? "it runs" : "it has ended"
                Issue.record(
                    "seed \(seed), head \(number): \(error), \(end): \(lane.program.errors)\n\(head)")
                return
            }
        }
    }
}
