import SluiceInterface
import TestKit
import Testing

// Jobs that cannot be parked, or only at the cost of the whole body.
extension Integration.Parking {
    /// An origin whose bodies cannot be continued, unless `head` makes that possible.
    private func stubborn(_ head: [String] = []) throws -> BadOrigin {
        try BadOrigin { try $0.respond(headers: head, pattern: Self.pattern, count: Self.size) }
    }

    @Test(
        "jobs that cannot be continued keep lanes up to a share; beyond it the oldest fails and the others continue"
    )
    func holdsLanesUpToShare() throws {
        let scene = try Scene("lanes.minimum = 1\nlanes.maximum = 4\nparking.holding_share = 0.5\n")
        let origin = try stubborn()
        var consumers: [SteppedConsumer] = []
        for _ in 0..<2 {
            let consumer = try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern)
            try consumer.read(1000)
            try consumer.waitFor(.stalled)
            consumers.append(consumer)
        }
        // This is much longer than parking takes: the jobs keep their lanes.
        letPass(.milliseconds(500))
        for consumer in consumers { #expect(try consumer.now().state == .stalled) }
        let third = try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern)
        try third.read(1000)
        let ended = try scene.service.wait(consumers[0].id)
        #expect(ended.outcome?.code == .consumerTooSlow, "\(ended)")
        _ = try consumers[0].readToEnd()
        #expect(consumers[0].count == ended.bytesDelivered)
        #expect(try consumers[1].now().state == .stalled && third.now().state == .stalled)
        try scene.others()
        // A job whose consumer reads again does not count any more, so there is room for the next one.
        try consumers[1].read(4 << 20)
        #expect(try consumers[1].readToEnd().outcome?.code == .complete)
        #expect(try third.readToEnd().outcome?.code == .complete)
    }

    @Test("if the share allows no lane, a job that cannot be continued makes room for the next job")
    func makesRoomWithoutShare() throws {
        let scene = try Scene(Self.one)
        let origin = try stubborn(["ETag: W/\"weak\""])
        let consumer = try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern)
        try consumer.read(1000)
        let waiting = try scene.service.fetch(scene.nginx.httpURL("/small"), expecting: Self.pattern)
        try waiting.finishComplete(1000)
        let ended = try scene.service.wait(consumer.id)
        #expect(ended.outcome?.code == .consumerTooSlow, "\(ended)")
    }

    @Test("with a holding share of 1 no job is ended because its consumer is slow")
    func wholeShareEndsNoSlowJob() throws {
        let scene = try Scene("lanes.minimum = 2\nlanes.maximum = 2\nparking.holding_share = 1\n")
        let origin = try stubborn()
        let consumers = try (0..<2).map { _ in
            try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern)
        }
        for consumer in consumers { try consumer.waitFor(.stalled) }
        letPass(.milliseconds(500))
        for consumer in consumers {
            #expect(try consumer.now().state == .stalled)
            #expect(try consumer.readToEnd().outcome?.code == .complete)
        }
    }

    @Test(
        "a job with a digest keeps its lane while there is room; otherwise the whole body is fetched again",
        arguments: [false, true])
    func digestJobKeepsLaneOrRestarts(_ announced: Bool) throws {
        let scene = try Scene("lanes.minimum = 1\nlanes.maximum = 2\nparking.holding_share = 0.5\n")
        let sum = try Self.pattern.sha256(count: Self.size)
        let bytes = stride(from: 0, to: 64, by: 2).compactMap { place -> UInt8? in
            let start = sum.index(sum.startIndex, offsetBy: place)
            return UInt8(sum[start..<sum.index(start, offsetBy: 2)], radix: 16)
        }
        let origin = try stubborn(
            ["ETag: \"a\""] + (announced ? ["Repr-Digest: sha-256=:\(Base64.encode(bytes)):"] : []))
        func begin() throws -> SteppedConsumer {
            let consumer = try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern) {
                if !announced { $0.digest = "sha256:\(sum)" }
            }
            try consumer.read(1000)
            return consumer
        }
        let first = try begin()
        try first.waitFor(.stalled)
        letPass(.milliseconds(400))
        #expect(try first.now().state == .stalled && first.now().attempts == 1)
        let second = try begin()
        // The share is one lane, so the older job is parked.
        try first.waitFor(.parked)
        try second.waitFor(.stalled)
        try scene.others()
        for consumer in [second, first] {
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .complete, "\(ended)")
            #expect(ended.digest == "sha256:\(sum)")
            #expect(consumer.count == Self.size)
        }
        #expect(origin.requests.count == 3)
        #expect(origin.requests.allSatisfy { $0["Range"] == nil })
    }
}
