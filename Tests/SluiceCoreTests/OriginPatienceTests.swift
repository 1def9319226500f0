import SluiceCore
import Testing

@Suite("The time that an origin has before its head is there")
struct OriginPatienceTests {
    private static let second: UInt64 = 1_000_000_000

    private func patience() -> OriginPatience { OriginPatience(connect: 10, head: 100, now: 5 * Self.second) }

    @Test("The connection has its own limit")
    func limitsConnecting() {
        let patience = patience()
        #expect(patience.look(at: 6 * Self.second) == .later(9 * Self.second))
        #expect(patience.look(at: 15 * Self.second - 1) == .later(1))
        #expect(patience.look(at: 15 * Self.second) == .connectIsOverdue)
    }

    @Test("Once there is a connection, only the limit for the response head counts")
    func limitsAnswering() {
        var patience = patience()
        patience.connected(at: 7 * Self.second)
        #expect(patience.look(at: 20 * Self.second) == .later(87 * Self.second))
        #expect(patience.look(at: 107 * Self.second) == .headIsOverdue)
    }

    @Test("A redirect begins a new connection, but does not extend the limit for the response head")
    func redirectsDoNotExtendHeadLimit() {
        var patience = patience()
        patience.connected(at: 7 * Self.second)
        patience.redirected(at: 50 * Self.second)
        #expect(patience.look(at: 60 * Self.second) == .connectIsOverdue)
        patience.connected(at: 55 * Self.second)
        #expect(patience.look(at: 60 * Self.second) == .later(47 * Self.second))
        patience.redirected(at: 106 * Self.second)
        #expect(patience.look(at: 107 * Self.second) == .headIsOverdue)
    }

    @Test("Infinite limits do not overflow the clock")
    func infiniteLimitsDoNotOverflow() {
        let patience = OriginPatience(connect: .infinity, head: .infinity, now: .max - 5)
        #expect(patience.look(at: .max - 4) == .later(4))
    }
}
