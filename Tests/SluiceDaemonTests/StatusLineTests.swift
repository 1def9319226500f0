import SluiceInterface
import Testing

@testable import SluiceDaemon

@Suite("The status line") struct StatusLineTests {
    @Test(
        "the status line shows jobs, busy lanes, delivered bytes and trouble, and omits counts of jobs that are zero"
    )
    func statusLineOmitsZeroCounts() {
        var counts = Ingest.JobCounts()
        var lanes = Ingest.LaneCounts()
        lanes.limit = 96
        lanes.idle = 2
        func line(_ delivered: Int, _ trouble: String? = nil) -> String {
            StatusLine.describe(counts, lanes: lanes, delivered: delivered, trouble: trouble)
        }
        #expect(line(0) == "idle; 0 B delivered")
        counts.streaming = 3
        counts.stalled = 1
        counts.queued = 12
        lanes.busy = 4
        #expect(
            line(1_400_000_000)
                == "3 streaming, 1 stalled, 12 queued; 4 of 96 lanes busy; 1.4 GB delivered")
        counts.connecting = 2
        #expect(line(5).hasPrefix("2 connecting, 3 streaming"))
        counts = Ingest.JobCounts()
        counts.complete = 99
        counts.failed = 2
        lanes.busy = 0
        #expect(line(5) == "idle; 99 complete, 2 failed; 5 B delivered")
        #expect(line(5, "why").hasPrefix("lanes cannot be started (why); idle; 99 complete"))
    }
}
