import EventLoop
import Testing

@testable import Varlink

@Suite("The state of a connection") struct ConnectionStateTests {
    typealias State = ConnectionState<String>

    private let gone: [Readiness] = [.hungUp, .failed, [.readable, .hungUp]]

    /// A state in each phase that does not end by itself.
    private func state(_ name: String) -> State {
        var state = State()
        switch name {
        case "reading": break
        case "admission": state.startWaiting(for: .admission)
        case "replies": state.startWaiting(for: .replies)
        case "room": state.startWaiting(for: .room)
        case "turn": state.startWaiting(for: .turn)
        case "lingering": state.linger()
        case "closing": state.close()
        default:
            _ = state.callBegins(awaitsReply: true)
            if name == "upgrading" { _ = state.upgrades("upgrade") }
        }
        return state
    }

    private func step(_ state: State, hasUnsent: Bool) -> String {
        switch state.step(hasUnsent: hasUnsent) {
        case .nothing: "nothing"
        case .finishSending: "finishSending"
        case .handOver(let upgrade): "hand over \(upgrade)"
        case .end(nil): "end"
        case .end(let reason?): "end: \(reason)"
        }
    }

    struct Expected: Sendable {
        let name: String
        let atBytes: State.Reaction
        let atEnd: State.Reaction
        let watched: Readiness
    }

    @Test(
        "says what to read, and when the client has gone",
        arguments: [
            Expected(
                name: "reading", atBytes: .receive, atEnd: .receive, watched: [.readable, .peerFinished]),
            Expected(name: "admission", atBytes: .nothing, atEnd: .fail, watched: []),
            Expected(name: "replies", atBytes: .nothing, atEnd: .fail, watched: []),
            Expected(name: "room", atBytes: .nothing, atEnd: .fail, watched: []),
            Expected(name: "turn", atBytes: .nothing, atEnd: .nothing, watched: []),
            Expected(name: "calling", atBytes: .nothing, atEnd: .fail, watched: []),
            Expected(name: "upgrading", atBytes: .nothing, atEnd: .fail, watched: []),
            Expected(name: "lingering", atBytes: .discard, atEnd: .fail, watched: .readable),
            Expected(name: "closing", atBytes: .nothing, atEnd: .fail, watched: []),
        ])
    func reactsToTheSocket(expected: Expected) {
        var state = state(expected.name)
        #expect(state.watched(isFull: false) == expected.watched)
        #expect(state.watched(isFull: true) == expected.watched.union(.writable))
        var reaction = state.heard(.readable)
        #expect(reaction == expected.atBytes)
        for readiness in gone {
            reaction = state.heard(readiness)
            #expect(reaction == expected.atEnd)
        }
    }

    @Test("allows the next call only after the current one is answered")
    func takesOneCallAtATime() {
        var state = State()
        var result = state.callBegins(awaitsReply: true)
        #expect(result)
        #expect(!state.mayTakeCalls)
        result = state.callEnds()
        #expect(result)
        #expect(state.mayTakeCalls)
        result = state.callEnds()
        #expect(!result, "a second answer")
    }

    @Test("carries out only the oneway calls of a client that has gone")
    func takesOnlyOnewayCallsOnceGone() {
        var state = State()
        _ = state.heard(.hungUp)
        let oneway = state.callBegins(awaitsReply: false)
        #expect(oneway && state.mayTakeCalls)
        let answered = state.callBegins(awaitsReply: true)
        #expect(!answered)
    }

    @Test("waits for one thing at a time, and the end of any other wait changes nothing")
    func waitsForOneThingOnly() {
        var state = State()
        state.startWaiting(for: .turn)
        state.stopWaiting(for: .room)
        #expect(state.wait == .turn && !state.mayTakeCalls)
        state.stopWaiting(for: .turn)
        #expect(state.wait == .nothing && state.mayTakeCalls)
        _ = state.callBegins(awaitsReply: true)
        state.startWaiting(for: .replies)
        #expect(state.wait == nil, "a call is pending")
    }

    @Test("waits for the rest of a call as long as the client can still send it")
    func waitsForRestOfCall() {
        var state = State()
        var lull = state.awaitNextCall(hasPart: false)
        #expect(lull == .awaitCall)
        lull = state.awaitNextCall(hasPart: true)
        #expect(lull == .awaitRest)
        state.peerFinishes()
        state.startWaiting(for: .turn)
        lull = state.awaitNextCall(hasPart: false)
        #expect(lull == .nothing, "a whole call is there")
        state.stopWaiting(for: .turn)
        lull = state.awaitNextCall(hasPart: true)
        #expect(lull == .close)
        #expect(step(state, hasUnsent: false) == "end")
    }

    @Test("closes after the pending call's reply is sent")
    func closesAfterTheReply() {
        var state = state("calling")
        state.close()
        #expect(step(state, hasUnsent: false) == "nothing")
        _ = state.callEnds()
        #expect(step(state, hasUnsent: true) == "nothing")
        #expect(step(state, hasUnsent: false) == "end")
    }

    @Test("lingers until the client has seen the end")
    func lingersUntilTheEndIsSeen() {
        var state = state("lingering")
        #expect(step(state, hasUnsent: false) == "finishSending")
        state.peerFinishes()
        #expect(state.watched(isFull: false) == [])
        #expect(step(state, hasUnsent: false) == "end")
    }

    @Test("hands the socket over after the last reply is sent")
    func handsOverAfterLastReply() {
        var state = state("upgrading")
        #expect(step(state, hasUnsent: true) == "nothing")
        #expect(step(state, hasUnsent: false) == "hand over upgrade")
        let again = state.upgrades("another")
        #expect(!again, "no call is pending")
    }

    @Test("fails once, and neither sends nor reads after that")
    func failsOnce() {
        var state = State()
        var result = state.fail(.unreadReplies)
        #expect(result)
        result = state.fail(nil)
        #expect(!result && !state.maySend && !state.mayTakeCalls)
        #expect(step(state, hasUnsent: true) == "end: \(VarlinkDropReason.unreadReplies)")
        state.end()
        #expect(state.hasEnded)
        #expect(step(state, hasUnsent: false) == "nothing")
    }
}
