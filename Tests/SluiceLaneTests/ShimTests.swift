import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing
import Unix

/// The functions between Foundation and libcurl. FactsTests show each defect without them; Tests/Responses has the
/// heads.
@Suite("The shim in front of libcurl", .serialized)
struct ShimTests {
    static let pattern = Pattern(seed: 77)

    /// `make build-static` checks the same in a statically linked lane, and the test of the package in the installed
    /// one.
    @Test(
        "Foundation calls every function of the shim, and libcurl gets a buffer of 256 KiB instead of 16 KiB")
    func takesEffect() throws {
        let result = try Program.run(Products.path("sluice-lane"), ["--check-shim"])
        #expect(result.exit == .exited(0))
        #expect(
            result.output
                == "URLSession is corrected; libcurl's receive buffer has 262144 bytes, Foundation asked for 16384\n",
            "\(result.output)\(result.errors)")
    }

    @Test(
        "A lane sends the header fields that it was asked to send; no Accept-Language or Connection is added",
        arguments: [false, true])
    func sendsOnlyRequestedFields(_ hasLanguage: Bool) throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let job = try LaneTestJob(Self.pattern)
        let order = try LaneOrder.test(origin.url()) { parameters in
            if hasLanguage { parameters.headers = [HeaderField(name: "accept-language", value: "de")] }
        }
        _ = try LaneBench().run(order, of: job)
        let request = try #require(origin.requests.first)
        #expect(request["Accept-Language"] == (hasLanguage ? "de" : nil), "\(request.raw)")
        #expect(request["Connection"] == nil, "\(request.raw)")
    }

    @Test(
        "A lane that waits for a head uses next to no processor time, on a new connection and on a kept one")
    func sleepsBeforeTheHead() throws {
        let origin = try BadOrigin()
        origin.on("/silent") { $0.waitForClose() }
        origin.on("/answer") { try $0.respond(body: [1]) }
        let lane = try LaneBench()
        for isKept in [false, true] {
            if isKept { _ = try lane.run(.test(origin.url("/answer")), of: LaneTestJob(Self.pattern)) }
            let requests = origin.requests.count
            let job = try LaneTestJob(Self.pattern)
            try lane.begin(.test(origin.url("/silent")), of: job)
            try origin.waitForRequests(requests + 1)
            #expect(origin.connections == 1 + (isKept ? 1 : 0))
            try expectSleep(lane)
            try lane.send(.end(serial: 7))
            #expect(try lane.end().outcome.code == .cancelled)
        }
    }

    @Test("A lane whose origin is silent in mid-body uses next to no processor time")
    func sleepsInMidBody() throws {
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
            try connection.sendChunk([1])
            connection.waitForClose()
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Pattern(seed: 1))
        try lane.begin(.test(origin.url()), of: job)
        try lane.waitFor("a response") { if case .responded = $0 { true } else { false } }
        try expectSleep(lane)
    }

    /// Expects that the lane uses less than one percent of a processor.
    private func expectSleep(_ lane: LaneBench) throws {
        // The work after a start or a request ends soon, while a lane that spins never has such a gap. The sleep is
        // the time over which the lane's processor time is measured.
        try eventually("two seconds with less than 20 ms of work") {
            let before = try ProcessorTime.of(processID: lane.program.processID)
            usleep(2_000_000)
            return try ProcessorTime.of(processID: lane.program.processID) - before < .milliseconds(20)
        }
    }

    @Test("A body in one-byte chunks costs a stalled lane no more memory than an ordinary body")
    func joinsSmallChunks() throws {
        let count = 3 << 20
        func written(_ script: @escaping BadOrigin.Script) throws -> Int {
            let origin = try BadOrigin(script)
            let lane = try LaneBench()
            // The first job has the costs that every job has.
            let warm = try BadOrigin { try $0.respond(body: [1]) }
            _ = try lane.run(.test(warm.url()), of: LaneTestJob(Self.pattern))
            let before = try MemoryProbe(processID: lane.program.processID).privateDirty
            let job = try LaneTestJob(Self.pattern, pace: .stopAt(0))
            try lane.begin(.test(origin.url()), of: job)
            try lane.waitFor("a stall") { if case .stalled = $0 { true } else { false } }
            _ = try origin.waitUntilBlocked()
            let growth = try MemoryProbe(processID: lane.program.processID).privateDirty - before
            try lane.send(.end(serial: 7))
            #expect(try lane.end().outcome.code == .cancelled)
            try eventually("a cancelled job's memory is given back") {
                try MemoryProbe(processID: lane.program.processID).privateDirty - before < 2 << 20
            }
            return growth
        }
        let ordinary = try written { connection in
            try connection.respond(pattern: Self.pattern, count: count)
        }
        let pieces = try written { connection in
            try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
            let bytes = Self.pattern.bytes(0..<count)
            var framed: [UInt8] = []
            framed.reserveCapacity(6 * count)
            for byte in bytes { framed += [0x31, 0x0d, 0x0a, byte, 0x0d, 0x0a] }
            try connection.send(framed)
            try connection.sendChunk([])
        }
        #expect(pieces - ordinary < 4 << 20, "\(pieces) and \(ordinary) bytes")
    }

    @Test("An endless body of a redirect is not received, and the redirect is followed")
    func cutsRedirectBodies() throws {
        let origin = try BadOrigin()
        origin.on("/endless") { connection in
            try connection.sendHead("302 Found", headers: ["Location: /body"])
            connection.sendForever()
        }
        origin.on("/body") { try $0.respond(pattern: Self.pattern, count: 1000) }
        let job = try LaneTestJob(Self.pattern)
        let facts = try LaneBench().run(.test(origin.url("/endless")), of: job)
        #expect(facts.outcome.code == .complete, "\(facts)")
        #expect(try job.check() == 1000)
    }

    @Test(
        "A head with too many fields is refused, and the outcome quotes the offending line in printable characters"
    )
    func namesTheOffendingLine() throws {
        let origin = try BadOrigin { connection in
            let fields = (1...10_000).map { "X-\($0): y" }
            try connection.sendHead(headers: fields + ["X-Last: \u{1}\\", "Content-Length: 0"])
        }
        let facts = try LaneBench().run(.test(origin.url()), of: LaneTestJob(Self.pattern))
        #expect(facts.outcome.code == .protocolError)
        #expect(facts.outcome.message.contains("“X-Last: \\x01\\x5c”"), "\(facts.outcome.message)")
    }
}
