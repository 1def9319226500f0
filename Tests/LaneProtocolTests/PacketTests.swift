import SluiceCore
import SluiceInterface
import TestKit
import Testing

@testable import LaneProtocol

/// The messages between daemon and lane. A server may have taken the lane over, so nothing that the lane sends may
/// stop the daemon.
@Suite("Packets")
struct PacketTests {
    private static let digest = BodyDigest(algorithm: .sha256, bytes: [UInt8](repeating: 171, count: 32))

    private static func representation(_ version: Version = .weak) -> Representation {
        Representation(
            url: "https://h/ä?\u{0}", sendsHeaders: true, version: version, length: 1 << 40, framing: .length,
            refusesRanges: true, digests: [digest], coding: "gzip")
    }

    private static func reports() -> [LaneReport] {
        var end = EndFacts(Outcome(.httpStatus, "the server answered 503"), status: 503)
        end.retryAfterSeconds = 0.25
        end.digest = digest
        end.etag = "W/\"a\""
        end.deniedAddress = "169.254.169.254"
        let versions = [
            Version.strong(Validator(kind: .etag, text: "\"a\"")),
            .strong(Validator(kind: .lastModified, text: "Sun, 06 Nov 1994 08:49:37 GMT")), .weak, .unnamed,
        ]
        return versions.map {
            .responded(
                serial: .max, ResponseFacts(status: 200, representation: representation($0), etag: nil))
        }
            + OutcomeCode.allCases.map {
                .ended(serial: 1, EndFacts(Outcome($0, "so")), isIdle: false, keepsAccount: true)
            } + [
                .ready(wire: LaneReport.wire, confinement: .files),
                .stalled(serial: 1), .flowing(serial: -2), .held(serial: 3),
                .released(serial: 4),
                .keepsUp(serial: 5), .ended(serial: 6, end, isIdle: true, keepsAccount: false), .idle,
            ]
    }

    private static func commands() throws -> [LaneCommand] {
        var parameters = Ingest.FetchParameters(url: "http://h/a?b=c")
        let small = try JobRequest(parameters, settings: Settings())
        parameters.headers = [HeaderField(name: "A", value: "b"), HeaderField(name: "C", value: "")]
        parameters.maximumSize = 5
        parameters.deadlineSeconds = 0.5
        parameters.digest = digest.description
        parameters.ifNoneMatch = "\"a\", \"b\""
        parameters.headTimeoutSeconds = 0.25
        parameters.minimumSpeed = 1 << 40
        parameters.identity = true
        parameters.http1 = true
        var redirects = Settings.Redirects()
        redirects.limit = 0
        redirects.credentialFields = ["x-a", "x-b"]
        let full = try JobRequest(parameters, settings: Settings())
        return [
            .order(LaneOrder(serial: 1, request: small)),
            .order(
                LaneOrder(
                    serial: 2, request: full, redirects: redirects, egress: "-n egress any",
                    position: 7, known: representation())),
            .end(serial: 3), .pipesGrown(serial: 4), .probe(serial: 5, number: 6),
            .rate(serial: 7, bytesPerSecond: 8), .rate(serial: 9, bytesPerSecond: nil),
        ]
    }

    /// A change of these bytes is a change of the wire format: it needs a new version number, and new bytes in this
    /// test.
    @Test("have exactly the bytes of their wire version")
    func bytesMatchWireVersion() {
        let ended = LaneReport.ended(
            serial: 1, EndFacts(Outcome(.complete, "so")), isIdle: true, keepsAccount: true)
        #expect(LaneReport.wire == 6)
        func word(_ number: UInt8) -> [UInt8] { [number, 0, 0, 0, 0, 0, 0, 0] }
        // Kind, serial; the code and the sentence, each after its length; five fields that are absent; two that are
        // true.
        let head = word(18) + word(1) + word(8) + Array("complete".utf8) + word(2) + Array("so".utf8)
        #expect(ended.packet == head + [0, 0, 0, 0, 0, 1, 1])
        #expect(LaneCommand.probe(serial: 1, number: 2).packet == word(4) + word(1) + word(2))
        #expect(LaneReport.ready(wire: 6, confinement: .full).packet == word(11) + word(6) + word(3))
        // An older lane sends less. The daemon must recognise its report, too.
        #expect(LaneReport(packet: word(11) + word(3)) == .ready(wire: 3, confinement: []))
    }

    @Test("of orders, too, have exactly the bytes of their wire version")
    func orderBytesMatchWireVersion() throws {
        var parameters = Ingest.FetchParameters(url: "http://h/")
        parameters.allowDowngrade = true
        parameters.http1 = true
        parameters.minimumSpeed = 7
        var redirects = Settings.Redirects()
        redirects.credentialFields = ["x"]
        let request = try JobRequest(parameters, settings: Settings())
        var order = LaneOrder(serial: 1, request: request, redirects: redirects, egress: "e")
        order.rate = 9
        order.dropsConnections = true
        let packet = LaneCommand.order(order).packet
        func word(_ number: UInt8) -> [UInt8] { [number, 0, 0, 0, 0, 0, 0, 0] }
        // No version, digest and tags; 20 redirects, one name, downgrade; a coded body is accepted; HTTP/1.1 only;
        // rules; a rate; no earlier connections; no certificate.
        let end =
            [0, 0, 0] + word(20) + word(1) + word(1) + Array("x".utf8) + [1] + [0] + [1] + word(1)
            + Array("e".utf8) + [1] + word(9) + [1] + [0]
        #expect(Array(packet.suffix(end.count)) == end)
        // No deadline, a minimum speed; no maximum size.
        let limits = [0] + [1] + word(7) + [0]
        #expect(packet.indices.contains { Array(packet[$0...].prefix(limits.count)) == limits })
    }

    @Test("decode to what was encoded")
    func decodeToWhatWasEncoded() throws {
        for report in Self.reports() { #expect(LaneReport(packet: report.packet) == report) }
        for command in try Self.commands() { #expect(LaneCommand(packet: command.packet) == command) }
    }

    @Test("that are too short or too long are refused")
    func refusesWrongLength() throws {
        let packets = Self.reports().map(\.packet) + (try Self.commands().map(\.packet))
        for packet in packets {
            let areNone = packet.indices.allSatisfy { count in
                let cut = Array(packet.prefix(count))
                return LaneReport(packet: cut) == nil && LaneCommand(packet: cut) == nil
            }
            #expect(areNone)
            #expect(LaneReport(packet: packet + [0]) == nil)
            #expect(LaneCommand(packet: packet + [0]) == nil)
        }
    }

    @Test("with random damage are refused or decoded, and never cause a trap")
    func randomDamageNeverTraps() throws {
        let packets = Self.reports().map(\.packet) + (try Self.commands().map(\.packet))
        var generator = SeededGenerator(seed: 5)
        var read = 0
        for _ in 0..<20_000 {
            var packet = packets.randomElement(using: &generator) ?? []
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                guard let index = packet.indices.randomElement(using: &generator) else { continue }
                packet[index] =
                    [0, 1, 127, 128, 255, .random(in: 0...255, using: &generator)]
                    .randomElement(using: &generator) ?? 0
            }
            if let report = LaneReport(packet: packet) {
                read += 1
                #expect(LaneReport(packet: report.packet) == report)
            }
            if let command = LaneCommand(packet: packet) {
                #expect(LaneCommand(packet: command.packet) == command)
            }
        }
        // Fewer would mean that damaged packets are not read beyond their first field.
        #expect(read > 1000)
    }

    @Test("with false counts, invalid numbers or invalid text are refused")
    func refusesFalseClaims() {
        for count in [2, 1 << 30, Int.max, -1] { #expect([String](packet: count.packet + [0]) == nil) }
        #expect(Double(packet: Double.infinity.bitPattern.littleEndianBytes) == nil)
        #expect(Double(packet: Double.nan.bitPattern.littleEndianBytes) == nil)
        #expect(Double(packet: Double.pi.bitPattern.littleEndianBytes) == .pi)
        #expect(String(packet: 1.packet + [0xff]) == nil)
        #expect(Bool(packet: [2]) == nil)
        #expect(OutcomeCode(packet: "nothing of the kind".packet) == nil)
    }
}

extension UInt64 {
    fileprivate var littleEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) } }
}
