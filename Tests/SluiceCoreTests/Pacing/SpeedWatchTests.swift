import SluiceCore
import Testing

@Suite("The least speed of an origin")
struct SpeedWatchTests {
    private static let second: UInt64 = 1_000_000_000

    @Test("An origin that reaches the least speed may continue, span after span")
    func letsFastOriginsContinue() {
        var watch = SpeedWatch(minimum: 100, span: 30, openTime: 5 * Self.second, received: 1000)
        #expect(watch.look(openTime: 15 * Self.second, received: 1000) == .later(20 * Self.second))
        #expect(watch.look(openTime: 35 * Self.second, received: 4000) == .later(30 * Self.second))
        #expect(watch.look(openTime: 65 * Self.second, received: 7000) == .later(30 * Self.second))
    }

    @Test("One byte too few in a span is too slow")
    func noticesSlowOrigins() {
        var watch = SpeedWatch(minimum: 100, span: 30, openTime: 0, received: 0)
        #expect(watch.look(openTime: 30 * Self.second, received: 2999) == .tooSlow(bytes: 2999))
    }

    @Test("Bytes of one span do not count in the next")
    func forgetsEarlierSpans() {
        var watch = SpeedWatch(minimum: 100, span: 30, openTime: 0, received: 0)
        #expect(watch.look(openTime: 30 * Self.second, received: 1_000_000) == .later(30 * Self.second))
        #expect(watch.look(openTime: 60 * Self.second, received: 1_000_100) == .tooSlow(bytes: 100))
    }

    @Test("A look that comes late judges the rate, not the number of bytes")
    func judgesLateLooks() {
        var watch = SpeedWatch(minimum: 100, span: 30, openTime: 0, received: 0)
        #expect(watch.look(openTime: 60 * Self.second, received: 5999) == .tooSlow(bytes: 5999))
    }

    @Test("Time behind a closed gate does not count")
    func ignoresClosedGates() {
        var watch = SpeedWatch(minimum: 100, span: 30, openTime: 10, received: 0)
        #expect(watch.look(openTime: 10, received: 0) == .later(30 * Self.second))
    }
}
