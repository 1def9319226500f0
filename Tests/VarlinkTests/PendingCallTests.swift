import EventLoop
import Synchronization
import TestKit
import Testing
import Unix
import Varlink

/// Calls that are answered later.
@Suite("A pending call") struct PendingCallTests {
    /// A service that keeps the calls of Hold and reports each. Used on the loop's thread.
    private final class Held: @unchecked Sendable {
        // @unchecked: only the loop's thread uses `calls`; both mailboxes are Sendable.
        var calls: [VarlinkCall] = []
        let arrived = Mailbox<Void>()
        let gone = Mailbox<Bool>()

        func configure(_ service: VarlinkService) throws {
            try Echo.configure(service)
            try service.handle(Echo.method("Hold")) { [self] call in
                calls.append(call)
                call.onDisconnect = { [unowned call, gone] in gone.put(call.isDisconnected) }
                arrived.put(())
            }
        }
    }

    @Test("delays the calls behind it, which are answered after it")
    func delaysLaterCalls() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        let client = try server.connect()
        try client.send(Echo.method("Hold"), mode: .single)
        try client.send(Echo.method("Echo"), ["text": "second"], mode: .single)
        try client.send(Echo.method("Hold"), mode: .single)
        try client.send(Echo.method("Echo"), ["text": "fourth"], mode: .single)
        try held.arrived.take()
        // Another client is not affected.
        let other = try server.connect()
        _ = try other.call(
            Echo.method("Echo"), ["text": "other"], as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(held.arrived.isEmpty)
        try server.onLoop { _ in held.calls.removeFirst().reply(Echo.Text(text: "first")) }
        #expect(try client.nextText() == "first")
        #expect(try client.nextText() == "second")
        try held.arrived.take()
        try server.onLoop { _ in held.calls.removeFirst().reply(Echo.Text(text: "third")) }
        #expect(try client.nextText() == "third")
        #expect(try client.nextText() == "fourth")
    }

    @Test(
        "of an expelled user is answered first; the user's idle connections end at once, with the reason"
    )
    func expelledUsersCallIsAnsweredFirst() throws {
        let held = Held()
        let server = try TestServer(limits: .patient) { try held.configure($0) }
        defer { server.stop() }
        var idle: RawClient? = try RawClient(server.path)
        let busy = try server.connect()
        try busy.send(Echo.method("Hold"), mode: .single)
        try held.arrived.take()
        try server.onLoop { service in
            for user in service.users {
                service.expel(
                    user, with: VarlinkErrorReply(Echo.method("Refused"), parameters: ["why": "gone"]))
            }
        }
        #expect(
            try idle?.receive() == #"{"error":"org.example.echo.Refused","parameters":{"why":"gone"}}"#)
        #expect(try idle?.receive() == nil)
        // The service waits without a limit until the client has read the reason.
        idle = nil
        try server.onLoop { _ in held.calls.removeFirst().reply(Echo.Text(text: "last")) }
        #expect(try busy.nextText() == "last")
        #expect(throws: VarlinkClientError.disconnected) { _ = try busy.nextText() }
        try server.waitForConnections(0)
    }

    @Test("is notified once that its client has gone, and its reply is dropped")
    func noticesDisconnectionOnce() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        do {
            let client = try server.connect()
            // The service never reads this call, and notices all the same that the client has gone.
            try client.send(Echo.method("Hold"), mode: .single)
            try client.send(Echo.method("Hold"), mode: .single)
            try held.arrived.take()
        }
        #expect(try held.gone.take())
        try server.onLoop { _ in
            #expect(held.calls[0].isFinished)
            held.calls[0].reply(Echo.Text(text: "too late"))
        }
        try server.waitForConnections(0)
        #expect(held.gone.isEmpty)
        #expect(held.arrived.isEmpty)
        #expect(server.dropped.isEmpty)
    }

    @Test("goes on when its client closes only the sending half")
    func outlivesHalfClosedConnection() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        let client = try RawClient(server.path)
        try client.send(#"{"method":"org.example.echo.Hold"}"# + "\0")
        client.finishSending()
        try held.arrived.take()
        try server.onLoop { _ in held.calls[0].reply(Echo.Text(text: "still here")) }
        #expect(try client.receive() == #"{"parameters":{"text":"still here"}}"#)
        #expect(try client.receive() == nil)
        #expect(held.gone.isEmpty)
    }

    @Test("that streams is notified when its client goes in the middle of the stream")
    func streamNoticesDisconnection() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        do {
            let client = try server.connect()
            try client.send(Echo.method("Hold"), mode: .more)
            try held.arrived.take()
            try server.onLoop { _ in held.calls[0].reply(Echo.Text(text: "one"), continues: true) }
            #expect(try client.nextText() == "one")
        }
        #expect(try held.gone.take())
        try server.onLoop { _ in held.calls[0].reply(Echo.Text(text: "two"), continues: true) }
        try server.waitForConnections(0)
    }

    @Test("that its handler drops is answered with the internal error")
    func droppedCallGetsInternalError() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        let client = try server.connect()
        try client.send(Echo.method("Hold"), mode: .single)
        try held.arrived.take()
        try server.onLoop { _ in held.calls.removeAll() }
        let error = #expect(throws: VarlinkClientError.self) {
            _ = try client.next(deadline: Deadline.ofCall)
        }
        guard case .error(name: "io.systemd.System", _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let reply = try client.call(
            Echo.method("Echo"), ["text": "on"], as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(reply.text == "on")
    }

    @Test("can be waited for up to a deadline")
    func clientWaitsUntilDeadline() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        let client = try server.connect()
        #expect(throws: VarlinkClientError.timedOut) {
            try client.call(Echo.method("Hold"), as: Echo.Text.self, deadline: 30)
        }
    }

    @Test("is still answered when the service closes, while idle connections end")
    func isAnsweredBeforeServiceCloses() throws {
        let held = Held()
        let server = try TestServer { try held.configure($0) }
        defer { server.stop() }
        let client = try server.connect()
        let idle = try RawClient(server.path)
        try client.send(Echo.method("Hold"), mode: .single)
        try held.arrived.take()
        let closed = Mailbox<Void>()
        try server.onLoop { service in service.close { closed.put(()) } }
        #expect(try idle.receive() == nil)
        #expect(closed.isEmpty)
        try server.onLoop { _ in held.calls[0].reply(Echo.Text(text: "goodbye")) }
        try closed.take()
        #expect(try client.nextText() == "goodbye")
        #expect(throws: VarlinkClientError.disconnected) { _ = try client.next(deadline: Deadline.ofCall) }
        #expect(throws: VarlinkClientError.self) { try server.connect() }
    }

    @Test("does not keep the service from closing for longer than the limit")
    func delaysClosingUpToLimit() throws {
        let held = Held()
        var limits = VarlinkLimits()
        limits.flushTimeout = .milliseconds(20)
        let server = try TestServer(limits: limits) { try held.configure($0) }
        defer { server.stop() }
        let client = try server.connect()
        try client.send(Echo.method("Hold"), mode: .single)
        try held.arrived.take()
        let closed = Mailbox<Void>()
        try server.onLoop { service in service.close { closed.put(()) } }
        try closed.take()
        #expect(try held.gone.take())
        #expect(throws: VarlinkClientError.disconnected) { _ = try client.next(deadline: Deadline.ofCall) }
    }
}
