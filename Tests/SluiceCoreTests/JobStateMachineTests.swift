import SluiceCore
import SluiceInterface
import Testing

@Suite("A job's states")
struct JobStateMachineTests {
    typealias Machine = JobStateMachine

    static let wanted = Outcome(.cancelled, "somebody cancelled it")
    static let second = Outcome(.consumerGone, "the consumer went")
    static let whole = Outcome(.complete, "all of it")
    static let part = Outcome(.truncated, "not all of it")
    static let death = Outcome(.laneDied, "signal 9")

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
        var finished = Machine()
        _ = finished.endRequested(second)
        return [("queued", Machine())] + running + ending + [("finished", finished)]
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
    func dispatched() {
        expect(["queued": (.report, .connecting)]) { $0.dispatched() }
    }

    @Test("phases follow each other while the job runs, and are told once")
    func phases() {
        expect(["streaming": (.report, .connecting), "stalled": (.report, .connecting)]) {
            $0.entered(.connecting)
        }
        expect(["connecting": (.report, .streaming), "stalled": (.report, .streaming)]) {
            $0.entered(.streaming)
        }
        expect(["connecting": (.report, .stalled), "streaming": (.report, .stalled)]) { $0.entered(.stalled) }
    }

    @Test("an end is at once in the queue, and the lane's to carry out later; a second one changes nothing")
    func endRequested() {
        expect([
            "queued": (.finish(Self.wanted), .cancelled), "connecting": (.endTransfer, .connecting),
            "streaming": (.endTransfer, .streaming), "stalled": (.endTransfer, .stalled),
        ]) { $0.endRequested(Self.wanted) }
        for (name, var machine) in Self.machines() where name.hasPrefix("ending") {
            #expect(machine.endRequested(Self.second) == .none)
            #expect(machine.laneEnded(.finish(Self.part)) == .finish(Self.wanted), "the first request stands")
        }
    }

    @Test("what the lane says of the end counts, but a whole body is whole, also for who wanted it ended")
    func laneEnded() {
        var results: [String: (Machine.Action, JobState)] = [:]
        for name in ["connecting", "streaming", "stalled"] {
            results[name] = (.finish(Self.whole), .complete)
            results["ending from \(name)"] = (.finish(Self.whole), .complete)
        }
        expect(results) { $0.laneEnded(.finish(Self.whole)) }
        for name in ["connecting", "streaming", "stalled"] {
            results[name] = (.finish(Self.part), .failed)
            results["ending from \(name)"] = (.finish(Self.wanted), .cancelled)
        }
        expect(results) { $0.laneEnded(.finish(Self.part)) }
        let unverified = Outcome(.completeUnverified, "as far as one can tell")
        for name in ["connecting", "streaming", "stalled"] {
            results[name] = (.finish(unverified), .complete)
            results["ending from \(name)"] = (.finish(unverified), .complete)
        }
        expect(results) { $0.laneEnded(.finish(unverified)) }
    }

    @Test("a lane's death fails its job, unless it was to be ended anyway")
    func laneDied() {
        var results: [String: (Machine.Action, JobState)] = [:]
        for name in ["connecting", "streaming", "stalled"] {
            results[name] = (.finish(Self.death), .failed)
            results["ending from \(name)"] = (.finish(Self.wanted), .cancelled)
        }
        expect(results) { $0.laneDied(.finish(Self.death)) }
    }

    @Test("a job whose lane died before it had the order waits again, unless it was to be ended")
    func orderWasLost() {
        var results: [String: (Machine.Action, JobState)] = [:]
        for name in ["connecting", "streaming", "stalled"] {
            results[name] = (.report, .queued)
            results["ending from \(name)"] = (.finish(Self.wanted), .cancelled)
        }
        expect(results) { $0.orderWasLost() }
    }

    @Test("a damaged account is the last word")
    func uncertain() {
        var machine = Machine()
        _ = machine.dispatched()
        _ = machine.laneEnded(.finish(Self.whole))
        machine.becameUncertain(Outcome(.deliveryUncertain, "damaged"))
        #expect(machine.outcome?.code == .deliveryUncertain)
        #expect(machine.publicState == .failed)
    }
}
