import SluiceCore
import SluiceInterface
import TestKit
import Testing

@Suite("A job's states")
struct JobStateMachineTests {
    typealias Machine = JobStateMachine

    static let wanted = Outcome(.cancelled, "somebody cancelled it")
    static let second = Outcome(.consumerGone, "the consumer went")
    static let whole = Outcome(.complete, "all of it")
    static let part = Outcome(.truncated, "not all of it")
    static let death = Outcome(.laneDied, "signal 9")

    static let running = ["connecting", "streaming", "stalled"]
    static let mismatch = Outcome(.digestMismatch, "another body")

    /// Every state that a machine can be in, by name.
    static func machines() -> [(name: String, machine: Machine)] {
        var running: [(String, Machine)] = []
        for (name, phases) in [
            ("connecting", []), ("streaming", [.streaming]), ("stalled", [.streaming, .stalled]),
        ] as [(String, [Machine.Phase])] {
            var machine = Machine()
            _ = machine.dispatched()
            for phase in phases { _ = machine.entered(phase) }
            running.append((name, machine))
        }
        let ending = running.map { name, machine in
            var machine = machine
            _ = machine.endRequested(wanted)
            return ("ending from \(name)", machine)
        }
        let parking = running.map { name, machine in
            var machine = machine
            _ = machine.parkRequested()
            return ("parking from \(name)", machine)
        }
        var waiting = Machine()
        _ = waiting.dispatched()
        _ = waiting.laneEnded(.retry)
        var finished = Machine()
        _ = finished.endRequested(second)
        return [("queued", Machine())] + running + ending + parking
            + [("parked", Machine.restoredParked()), ("waiting", waiting), ("finished", finished)]
    }

    /// The effect of an event on a job that runs, one that is being ended, and one that is being parked, in every
    /// phase.
    private func expect(
        running: (Machine.Action, JobState), ending: (Machine.Action, JobState),
        parking: (Machine.Action, JobState), of event: (inout Machine) -> Machine.Action,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var results: [String: (Machine.Action, JobState)] = [:]
        for name in Self.running {
            results[name] = running
            results["ending from \(name)"] = ending
            results["parking from \(name)"] = parking
        }
        expect(results, of: event, sourceLocation: sourceLocation)
    }

    private func expect(
        _ results: [String: (Machine.Action, JobState)], of event: (inout Machine) -> Machine.Action,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (name, before) in Self.machines() {
            var machine = before
            let action = event(&machine)
            let expected = results[name] ?? (.none, before.publicState)
            #expect(action == expected.0, "\(name)", sourceLocation: sourceLocation)
            #expect(machine.publicState == expected.1, "\(name)", sourceLocation: sourceLocation)
            #expect(
                (machine.outcome != nil) == machine.publicState.isFinal, "\(name)",
                sourceLocation: sourceLocation)
        }
    }

    @Test("a lane takes a queued job, and no other")
    func laneTakesOnlyQueuedJob() {
        expect(["queued": (.report, .connecting)]) { $0.dispatched() }
    }

    @Test("a running job can enter any other phase, and each change is reported once")
    func reportsEachPhaseOnce() {
        expect(["streaming": (.report, .connecting), "stalled": (.report, .connecting)]) {
            $0.entered(.connecting)
        }
        expect(["connecting": (.report, .streaming), "stalled": (.report, .streaming)]) {
            $0.entered(.streaming)
        }
        expect(["connecting": (.report, .stalled), "streaming": (.report, .stalled)]) { $0.entered(.stalled) }
    }

    @Test(
        "a job without a lane ends at once, a lane ends its job later, and a second request changes nothing")
    func endsAtOnceWithoutLane() {
        expect([
            "queued": (.finish(Self.wanted), .cancelled), "parked": (.finish(Self.wanted), .cancelled),
            "waiting": (.finish(Self.wanted), .cancelled), "connecting": (.endTransfer, .connecting),
            "streaming": (.endTransfer, .streaming), "stalled": (.endTransfer, .stalled),
        ]) { $0.endRequested(Self.wanted) }
        for (name, var machine) in Self.machines() where name.hasPrefix("ending") {
            #expect(machine.endRequested(Self.second) == .none)
            #expect(machine.laneEnded(.finish(Self.part)) == .finish(Self.wanted), "the first request stands")
        }
    }

    @Test("a job that is being parked can be ended without another command to the lane")
    func endReplacesParking() {
        for (name, before) in Self.machines() where name.hasPrefix("parking") {
            var machine = before
            #expect(machine.endRequested(Self.wanted) == .none)
            #expect(machine.publicState == before.publicState && machine.outcome == nil)
            var other = machine
            #expect(machine.laneEnded(.retry) == .finish(Self.wanted))
            #expect(other.laneDied(.retry) == .finish(Self.wanted))
        }
    }

    @Test("the lane's outcome ends a running job, and a whole body is complete even if an end was requested")
    func wholeBodyIsAlwaysComplete() {
        for whole in [
            Self.whole, Outcome(.completeUnverified, "as far as one can tell"), Outcome(.unchanged, "304"),
        ] {
            expect(
                running: (.finish(whole), .complete), ending: (.finish(whole), .complete),
                parking: (.finish(whole), .complete)
            ) { $0.laneEnded(.finish(whole)) }
        }
        expect(
            running: (.finish(Self.part), .failed), ending: (.finish(Self.wanted), .cancelled),
            parking: (.park, .parked)
        ) { $0.laneEnded(.finish(Self.part)) }
    }

    @Test("a job whose consumer has gone ends, even while the job is being parked")
    func goneConsumerPreventsParking() {
        expect(
            running: (.finish(Self.second), .failed), ending: (.finish(Self.wanted), .cancelled),
            parking: (.finish(Self.second), .failed)
        ) { $0.laneEnded(.finish(Self.second)) }
    }

    @Test("a whole body with the wrong digest fails its job, even while the job is being parked")
    func wrongDigestPreventsParking() {
        expect(
            running: (.finish(Self.mismatch), .failed), ending: (.finish(Self.wanted), .cancelled),
            parking: (.finish(Self.mismatch), .failed)
        ) { $0.laneEnded(.finish(Self.mismatch)) }
    }

    @Test("an attempt that may be repeated leaves its job waiting, unless its end or parking was requested")
    func repeatableAttemptLeavesJobWaiting() {
        expect(
            running: (.pause, .waiting), ending: (.finish(Self.wanted), .cancelled), parking: (.park, .parked)
        ) { $0.laneEnded(.retry) }
        expect(
            running: (.pause, .waiting), ending: (.finish(Self.wanted), .cancelled), parking: (.park, .parked)
        ) { $0.laneDied(.retry) }
    }

    @Test("a lane's death without another attempt fails the job, unless its end or parking was requested")
    func finalLaneDeathFailsJob() {
        expect(
            running: (.finish(Self.death), .failed), ending: (.finish(Self.wanted), .cancelled),
            parking: (.park, .parked)
        ) { $0.laneDied(.finish(Self.death)) }
    }

    @Test(
        "a job whose lane died before it had the order is queued again, unless its end or parking was requested"
    )
    func lostOrderRequeuesJob() {
        expect(
            running: (.report, .queued), ending: (.finish(Self.wanted), .cancelled), parking: (.park, .parked)
        ) { $0.orderWasLost() }
    }

    @Test("only a job on which a lane is working is parked, and only once")
    func parksOnlyRunningJobs() {
        expect([
            "connecting": (.endTransfer, .connecting), "streaming": (.endTransfer, .streaming),
            "stalled": (.endTransfer, .stalled),
        ]) { $0.parkRequested() }
    }

    @Test("a parked job, and no other, is queued once its consumer reads")
    func queuesParkedJobWhenRead() {
        expect(["parked": (.enqueue, .queued)]) { $0.drained() }
    }

    @Test("a waiting job, and no other, is queued once its pause is over")
    func queuesWaitingJobAfterPause() {
        expect(["waiting": (.enqueue, .queued)]) { $0.pauseIsOver() }
    }

    @Test("a job stalls, is parked, continues, loses its lane, waits, and is complete in the end")
    func completesAfterParkingAndLaneDeath() {
        var machine = Machine()
        #expect(machine.dispatched() == .report)
        #expect(machine.entered(.streaming) == .report)
        #expect(machine.entered(.stalled) == .report)
        #expect(machine.parkRequested() == .endTransfer)
        #expect(machine.entered(.streaming) == .none, "a report that was on its way")
        #expect(machine.publicState == .stalled)
        #expect(machine.laneEnded(.finish(Outcome(.cancelled, "as told"))) == .park)
        #expect(machine.dispatched() == .none, "nobody gives it to a lane while it is parked")
        #expect(machine.drained() == .enqueue)
        #expect(machine.drained() == .none)
        #expect(machine.dispatched() == .report)
        #expect(machine.laneDied(.retry) == .pause)
        #expect(machine.laneEnded(.finish(Self.whole)) == .none, "a lane speaks once")
        #expect(machine.pauseIsOver() == .enqueue)
        #expect(machine.dispatched() == .report && machine.entered(.streaming) == .report)
        #expect(machine.laneEnded(.finish(Self.whole)) == .finish(Self.whole))
        #expect(machine.publicState == .complete && machine.outcome == Self.whole)
    }

    @Test("a job that an earlier run of the service left is restored in its state")
    func restoresJobsInTheirState() {
        #expect(Machine.restoredParked().publicState == .parked)
        for code in OutcomeCode.allCases {
            var machine = Machine.restoredFinished(Outcome(code, "long ago"))
            #expect(machine.publicState == code.state && machine.outcome?.code == code)
            #expect(machine.endRequested(Self.wanted) == .none && machine.dispatched() == .none)
            #expect(machine.drained() == .none && machine.outcome?.code == code)
        }
    }

    @Test(
        "a job that has ended does not change, whatever events follow and in whatever order",
        arguments: 1...8 as ClosedRange<UInt64>)
    func endedJobNeverChanges(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let events: [(inout Machine) -> Machine.Action] = [
            { $0.dispatched() }, { $0.entered(.connecting) }, { $0.entered(.streaming) },
            { $0.entered(.stalled) },
            { $0.endRequested(Self.wanted) }, { $0.parkRequested() }, { $0.laneEnded(.retry) },
            { $0.laneEnded(.finish(Self.part)) }, { $0.laneEnded(.finish(Self.whole)) },
            { $0.laneDied(.retry) },
            { $0.laneDied(.finish(Self.death)) }, { $0.orderWasLost() }, { $0.drained() },
            { $0.pauseIsOver() },
        ]
        for _ in 0..<300 {
            var machine = Machine()
            var ended: Outcome?
            for _ in 0..<40 {
                let before = machine.publicState
                guard let event = events.randomElement(using: &generator) else { return }
                let action = event(&machine)
                if let ended {
                    #expect(action == .none && machine.outcome == ended)
                } else if case .finish(let outcome) = action {
                    #expect(machine.outcome == outcome && machine.publicState.isFinal)
                    ended = outcome
                } else {
                    #expect(machine.outcome == nil)
                    if action == .none { #expect(machine.publicState == before) }
                }
            }
        }
    }

    @Test("a damaged account overrides the outcome of a complete job")
    func damagedAccountOverridesOutcome() {
        var machine = Machine()
        _ = machine.dispatched()
        _ = machine.laneEnded(.finish(Self.whole))
        machine.becameUncertain(Outcome(.deliveryUncertain, "damaged"))
        #expect(machine.outcome?.code == .deliveryUncertain)
        #expect(machine.publicState == .failed)
    }
}
