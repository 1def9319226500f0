import Synchronization
import Testing

@testable import SluiceLane

/// What the shim reports about requests.
@Suite("The progress of a request", .serialized)
struct RequestProgressTests {
    @Test("Reporting the connection of a lane's 100,000th request costs no more than that of its first")
    func reportsConnectionsAtConstantCost() {
        let count = Atomic(0)
        RequestProgress.whenConnected { count.add(1, ordering: .relaxed) }
        for _ in 0..<100_000 { RequestProgress.connected() }
        #expect(count.load(ordering: .relaxed) == 100_000)
    }
}
