import EventLoop
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import Testing
import Unix

@testable import SluiceDaemon

/// A scheduler with lanes that the tests speak for, on a loop that the tests turn.
@Suite("The scheduler", .serialized) struct SchedulerTests {
    @Test("gives a job to a warm lane, and ends it with what the lane reports and the account confirms")
    func runsJobOnWarmLane() throws {
        let house = try House()
        let lane = house.warmUp()
        #expect(house.warmth == ["warm"])
        let job = try JobRecord.example("a")
        let end = try house.enqueue(job)
        let order = try #require(lane.order)
        #expect(order.url == "http://h/" && order.position == 0)
        lane.reports(.responded(serial: order.serial, .example(length: 3)))
        lane.delivers([1, 2, 3])
        lane.ends(Outcome(.complete, "done"))
        #expect(house.states["a"] == [.connecting, .streaming, .complete])
        #expect(job.snapshot().bytesDelivered == 3 && job.snapshot().attempts == 1)
        #expect(end.readSome() == 3 && end.readSome() == 0, "the body, and then the end of file")
        #expect(house.scheduler.running.isEmpty && house.scheduler.counts.complete == 1)
    }

    @Test("does not believe a lane that reports more than the account")
    func accountDecides() throws {
        let house = try House()
        let lane = house.warmUp()
        let job = try JobRecord.example("a")
        let end = try house.enqueue(job)
        lane.reports(.responded(serial: lane.order?.serial ?? 0, .example(length: 3)))
        lane.delivers([1, 2])
        lane.ends(Outcome(.complete, "done"))
        #expect(job.snapshot().outcome?.code == .deliveryUncertain)
        #expect(end.readSome() == 2)
    }

    @Test("repeats an order that a lane died without taking, and counts no attempt")
    func repeatsLostOrders() throws {
        let house = try House()
        let job = try JobRecord.example("a")
        let first = house.warmUp()
        let end = try house.enqueue(job)
        #expect(first.order != nil)
        first.dies()
        #expect(house.turn { house.lanes.count == 2 })
        house.lanes[1].isReady()
        #expect(house.lanes[1].order?.position == 0 && job.attempts.count == 1)
        #expect(job.attempts.lostOrders == 1)
        house.lanes[1].delivers([])
        house.lanes[1].ends(Outcome(.complete, "done"))
        #expect(job.snapshot().state == .complete && end.readSome() == 0)
    }

    @Test("continues after the death of a lane at the byte that the consumer has reached")
    func continuesAfterLaneDeath() throws {
        let house = try House()
        let first = house.warmUp()
        let job = try JobRecord.example("a")
        let end = try house.enqueue(job)
        let version = Version { $0 == "etag" ? "\"v1\"" : nil }
        var facts = ResponseFacts.example(length: 5)
        facts.representation.version = version
        facts.representation.url = "http://h/"
        first.reports(.responded(serial: first.order?.serial ?? 0, facts))
        first.delivers([1, 2, 3])
        first.dies()
        #expect(house.turn { house.lanes.count == 2 })
        house.lanes[1].isReady()
        #expect(house.turn { house.lanes[1].order != nil })
        let order = try #require(house.lanes[1].order)
        #expect(order.position == 3 && order.known?.version == version)
        #expect(house.states["a"]?.contains(.waiting) == true)
        #expect(job.snapshot().attemptLog.first?.code == .laneDied)
        #expect(end.readSome() == 3)
    }

    @Test("ends a job whose consumer goes away while no lane works on it")
    func endsJobWithoutConsumer() throws {
        let house = try House { $0.lanes.minimum = 0 }
        house.scheduler.start()
        let job = try JobRecord.example("a")
        do { _ = try house.enqueue(job) }
        #expect(house.turn { job.machine.outcome != nil })
        #expect(job.snapshot().outcome?.code == .consumerGone)
    }

    @Test("kills a lane that reports itself idle before it has reported how its job ended")
    func killsLaneIdleTooEarly() throws {
        let house = try House()
        let lane = house.warmUp()
        let end = try house.enqueue(try JobRecord.example("a"))
        lane.reports(.idle)
        #expect(lane.isKilled)
        _ = consume end
    }

    @Test("tells a lane to end a cancelled job, and kills a lane that does not")
    func killsLaneThatIgnoresCancel() throws {
        let house = try House { $0.lanes.endSeconds = 0.01 }
        let lane = house.warmUp()
        let job = try JobRecord.example("a")
        let end = try house.enqueue(job)
        let serial = try #require(lane.order?.serial)
        house.scheduler.end(job, Outcome(.cancelled, "test"))
        #expect(lane.commands.last == .end(serial: serial) && job.machine.outcome == nil)
        #expect(house.turn { lane.isKilled })
        lane.dies()
        #expect(job.snapshot().outcome?.code == .cancelled)
        _ = consume end
    }

    @Test("gives a lane that has had a job of one user to no other user")
    func lanesStayWithTheirUsers() throws {
        let house = try House { $0.lanes.maximum = 1 }
        let first = house.warmUp()
        let end = try house.enqueue(try .example("a", of: 7))
        let otherEnd = try house.enqueue(try .example("b", of: 8))
        first.delivers([])
        first.ends(Outcome(.complete, "done"))
        // The lane makes room for another one.
        #expect(first.isHungUp && house.lanes.count == 2)
        house.lanes[1].isReady()
        #expect(house.lanes[1].order != nil)
        _ = consume end
        _ = consume otherEnd
    }

    @Test("fails waiting jobs after three lanes in a row could not be started, and leaves running jobs alone")
    func failsWaitingJobsWithoutLanes() throws {
        let house = try House()
        let lane = house.warmUp()
        let busy = try house.enqueue(try .example("a", of: 7))
        house.shortage = .permissionDenied
        let job = try JobRecord.example("b", of: 8)
        let end = try house.enqueue(job)
        #expect(house.turn { job.machine.outcome != nil })
        #expect(job.snapshot().outcome?.code == .laneUnavailable)
        #expect(end.readSome() == 0)
        house.shortage = nil
        lane.delivers([])
        lane.ends(Outcome(.complete, "done"))
        #expect(house.states["a"]?.last == .complete, "a lane that runs is not touched by that")
        _ = consume busy
    }

    @Test("reports it when no lane ever becomes warm")
    func reportsThatNoLaneBecomesWarm() throws {
        let house = try House()
        house.shortage = .permissionDenied
        house.scheduler.start()
        #expect(house.turn { !house.warmth.isEmpty })
        #expect(house.warmth == ["never"])
    }

    @Test("enforces a job's deadline, and names the last failure in the outcome")
    func enforcesDeadline() throws {
        let house = try House()
        let lane = house.warmUp()
        let job = try JobRecord.example("a") { $0.deadlineSeconds = 0.2 }
        let end = try house.enqueue(job)
        lane.delivers([])
        lane.ends(Outcome(.connectionRefused, "the origin refused"), status: nil)
        // Where there was time for a second attempt, the lane is told to end it.
        #expect(house.turn { job.machine.endingOutcome != nil || job.machine.outcome != nil })
        if job.machine.outcome == nil { lane.ends(Outcome(.cancelled, "told to end"), status: nil) }
        let outcome = job.snapshot().outcome
        #expect(outcome?.code == .deadlineExceeded)
        #expect(outcome?.message.contains("the origin refused") == true)
        _ = consume end
    }
}
