import SluiceCore
import Testing

@testable import SluiceDaemon

@Suite("The budget of descriptors") struct DescriptorBudgetTests {
    @Test(
        "with few descriptors connections are fewer, one user cannot take them all, and room for jobs remains"
    )
    func fewDescriptorsLimitConnections() {
        var settings = Settings()
        settings.limits.connections = 1000
        settings.limits.connectionsPerUser = 900
        let few = DescriptorBudget(limit: 256)
        #expect(few.connections(settings) == 128)
        #expect(few.connectionsPerUser(settings) == 64)
        #expect(few.covers(jobs: 1, lanes: 2, connections: 128))
        #expect(!few.covers(jobs: 100, lanes: 2, connections: 128))
        let many = DescriptorBudget(limit: 65_536)
        #expect(many.connections(settings) == 1000)
        #expect(many.connectionsPerUser(settings) == 900)
        // The unit's limit is enough for all that the settings allow by default.
        #expect(many.covers(Settings()))
        #expect(!few.covers(Settings()))
        #expect(DescriptorBudget(limit: 1).connections(settings) == 1)
        // All that the jobs leave.
        settings.limits.jobs = 10
        settings.lanes.maximum = 2
        #expect(
            DescriptorBudget(limit: 1000).connections(settings) == 1000 - DescriptorBudget.forItself - 50 - 12
        )
        // What is kept for root, where there is enough.
        let enough = DescriptorBudget(limit: 1024)
        #expect(
            enough.covers(jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12 - 78))
        #expect(
            !enough.covers(jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12 - 77))
        #expect(
            enough.covers(
                jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12, isRoot: true))
        #expect(DescriptorBudget.current.limit > 0)
    }
}
