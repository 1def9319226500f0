import Glibc
import Synchronization
import TestKit
import Testing
import Unix
import Varlink

@Suite("A limit", .serialized) struct LimitTests {
    private let ping = #"{"method":"org.example.echo.Echo","parameters":{"text":"x"}}"# + "\0"
    private let pong = #"{"parameters":{"text":"x"}}"#

    private func invalid(_ parameter: String) -> String {
        #"{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"\#(parameter)"}}"#
    }

    /// Checks that the service still answers a second client.
    private func expectService(_ server: TestServer) throws {
        let reply = try server.connect().call(
            Echo.method("Echo"), ["text": "well"], as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(reply.text == "well")
    }

    @Test(
        "on the size of a message: the client gets InvalidParameter, and then the connection ends",
        arguments: [true, false])
    func refusesTooLargeMessage(isEnded: Bool) throws {
        var limits = VarlinkLimits()
        limits.maximumMessageSize = 100
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try RawClient(server.path)
        // This is much more than a socket takes at once: the service does not cut the client off while it sends.
        try client.send(String(repeating: "x", count: 2_000_000) + (isEnded ? "\0" : ""))
        #expect(try client.receive() == invalid("message"))
        #expect(try client.receive() == nil)
        #expect(try server.dropped.take() == .messageTooLarge)
        try expectService(server)
    }

    @Test(
        "on the form of a message: one that is not a call gets InvalidParameter, and then the connection ends",
        arguments: [
            ("", "message", nil),
            ("no JSON", "message", nil),
            ("\u{FF}{}", "message", nil),
            ("[]", "message", nil),
            ("{}", "method", "method"),
            (#"{"method":1}"#, "method", "method"),
            (#"{"method":"org.example.echo.Echo","more":"yes"}"#, "more", "more"),
            (String(repeating: "[", count: 100_000), "message", nil),
            (#"{"method":"a.B","parameters":"# + String(repeating: "[", count: 65), "message", nil),
        ])
    func refusesMalformedCall(text: String, parameter: String, field: String?) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try RawClient(server.path)
        try client.send(ping + text + "\0" + ping)
        #expect(try client.receive() == pong)
        #expect(try client.receive() == invalid(parameter))
        #expect(try client.receive() == nil)
        #expect(try server.dropped.take() == .malformedMessage(field: field))
        try expectService(server)
    }

    @Test("on the time for a message: a client that stops in the middle of one is dropped")
    func halfMessageTimesOut() throws {
        var limits = VarlinkLimits()
        limits.messageTimeout = .milliseconds(30)
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let idle = try RawClient(server.path)
        let client = try RawClient(server.path)
        try client.send(ping + "{\"meth")
        #expect(try client.receive() == pong)
        #expect(try client.receive() == invalid("message"))
        #expect(try client.receive() == nil)
        #expect(try server.dropped.take() == .unfinishedMessage)
        // A client that has begun no message may stay.
        try idle.send(ping)
        #expect(try idle.receive() == pong)
    }

    @Test("on the time for a message is not extended by bytes that trickle in")
    func tricklingDoesNotExtendTime() throws {
        var limits = VarlinkLimits()
        limits.messageTimeout = .milliseconds(100)
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try RawClient(server.path)
        let deadline = Deadline()
        while server.dropped.isEmpty, !deadline.hasPassed {
            do { try client.send(" ") } catch { break }
            // The pace at which the bytes trickle.
            letPass(.milliseconds(5))
        }
        #expect(try server.dropped.take() == .unfinishedMessage)
    }

    @Test("on unread replies: a client that does not read is dropped, and other clients are not affected")
    func dropsClientThatDoesNotRead() throws {
        var limits = VarlinkLimits()
        limits.maximumUnreadReplyBytes = 300_000
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let lazy = try server.connect()
        try lazy.send(Echo.method("Count"), Echo.From(from: 50_000), mode: .more, deadline: Deadline.ofCall)
        #expect(try server.dropped.take() == .unreadReplies)
        try expectService(server)
        #expect(throws: VarlinkClientError.self) {
            for _ in 0..<50_001 { _ = try lazy.next(deadline: Deadline.ofCall) }
        }
    }

    @Test(
        "on unread replies: while one waits the client's next calls wait, too, and then each is carried out")
    func callsWaitForUnreadReply() throws {
        let count = Counter()
        let server = try TestServer(limits: .patient) { service in
            try Echo.configure(service)
            try service.handle(Echo.method("Large")) { call in
                count.add()
                call.reply(
                    Echo.Text(
                        text: String(repeating: "x", count: try call.parameters(as: Echo.Size.self).size)))
            }
        }
        defer { server.stop() }
        let lazy = try server.connect()
        for _ in 0..<20 {
            try lazy.send(
                Echo.method("Large"), Echo.Size(size: 1_000_000), mode: .single, deadline: Deadline.ofCall)
        }
        for _ in 0..<20 { try expectService(server) }
        #expect(count.value == 1)
        for _ in 0..<20 {
            #expect(
                try lazy.next(deadline: Deadline.ofCall).decode(as: Echo.Text.self).text.utf8.count
                    == 1_000_000)
        }
        #expect(count.value == 20)
    }

    @Test("on unread replies of one user: calls wait until some replies are read")
    func callsWaitForUsersUnreadReplies() throws {
        let count = Counter()
        var limits = VarlinkLimits.patient
        limits.maximumUnreadReplyBytesPerUser = 1_500_000
        let server = try TestServer(limits: limits) { service in
            try Echo.configure(service)
            try service.handle(Echo.method("Large")) { call in
                count.add()
                call.reply(Echo.Text(text: String(repeating: "x", count: 1_000_000)))
            }
        }
        defer { server.stop() }
        let clients = try (0..<40).map { _ in try server.connect() }
        for client in clients {
            try client.send(
                Echo.method("Large"), Echo.Size(size: 0), mode: .single, deadline: Deadline.ofCall)
        }
        // All connections belong to the user who runs the test, so the test asks the server's loop for its state.
        for _ in 0..<20 { _ = try server.onLoop { $0.connectionCount } }
        #expect(count.value <= 3)
        for client in clients {
            #expect(
                try client.next(deadline: Deadline.ofCall).decode(as: Echo.Text.self).text.utf8.count
                    == 1_000_000)
        }
        #expect(count.value == 40)
        try expectService(server)
    }

    @Test("on unread replies of one user: a client that reads nothing is dropped, and the others are served")
    func dropsNonReaderForOthers() throws {
        var limits = VarlinkLimits()
        limits.maximumUnreadReplyBytesPerUser = 1_500_000
        limits.flushTimeout = .milliseconds(50)
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let lazy = try (0..<3).map { _ in try server.connect() }
        for client in lazy {
            try client.send(
                Echo.method("Large"), Echo.Size(size: 1_000_000), mode: .single, deadline: Deadline.ofCall)
        }
        try expectService(server)
        #expect(try server.dropped.take() == .unreadReplies)
    }

    @Test("on descriptors in flight: a client that does not read gets only a few, and all once it reads")
    func boundsDescriptorsInFlight() throws {
        // The service checks soon whether a client reads, each of fifty times: the pauses begin anew each time.
        try judge("fifty times eight replies with descriptors", takesLessThan: .seconds(2)) {
            let count = Counter()
            let server = try TestServer { service in
                try Echo.configure(service)
                try service.handle(Echo.method("Swap")) { call in
                    count.add()
                    let pipe = try Pipe()
                    call.reply(["outputFileDescriptor": call.push(pipe.readEnd), "size": 0])
                }
            }
            defer { server.stop() }
            let lazy = try RawClient(server.path)
            let call = #"{"method":"org.example.echo.Swap","parameters":{}}"# + "\0"
            try lazy.send(String(repeating: call, count: 400))
            for _ in 0..<20 { try expectService(server) }
            #expect(count.value == 8)
            let took = try elapsed {
                for _ in 0..<400 {
                    let reply = try lazy.receive()
                    #expect(reply?.contains("outputFileDescriptor") == true)
                }
            }
            #expect(count.value == 400)
            return took
        }
    }

    @Test("on unread replies does not limit what a client that reads receives")
    func doesNotLimitReadingClient() throws {
        var limits = VarlinkLimits.patient
        limits.maximumUnreadReplyBytes = 3_000_000
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try server.connect()
        for _ in 0..<5 {
            let reply = try client.call(
                Echo.method("Large"), Echo.Size(size: 2_900_000), as: Echo.Text.self,
                deadline: Deadline.ofCall)
            #expect(reply.text.utf8.count == 2_900_000)
        }
    }

    @Test(
        "on connections, in total or of one user: one more client gets the error, and its connection ends",
        arguments: [true, false])
    func refusesTooManyConnections(ofUser: Bool) throws {
        var limits = VarlinkLimits()
        // The user who runs the test may be root.
        limits.reservedConnections = 0
        if ofUser { limits.maximumConnectionsPerUser = 3 } else { limits.maximumConnections = 3 }
        limits.overloadError = VarlinkErrorReply(Echo.method(ofUser ? "Other" : "Overloaded"))
        limits.userOverloadError = VarlinkErrorReply(Echo.method(ofUser ? "Overloaded" : "Other"))
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        var clients = try (0..<3).map { _ in try server.connect() }
        for client in clients {
            _ = try client.call(
                Echo.method("Echo"), ["text": "in"], as: Echo.Text.self, deadline: Deadline.ofCall)
        }
        // Many more than the service keeps until they have read their errors.
        let refused = try (0..<200).map { _ in try RawClient(server.path) }
        for client in refused {
            #expect(try client.receive() == #"{"error":"org.example.echo.Overloaded","parameters":{}}"#)
            #expect(try client.receive() == nil)
            #expect(try server.dropped.take() == (ofUser ? .tooManyConnectionsOfUser : .tooManyConnections))
        }
        #expect(throws: VarlinkClientError.error(name: Echo.method("Overloaded"), parameters: [:])) {
            try server.connect().call(
                Echo.method("Echo"), ["text": "out"], as: Echo.Text.self, deadline: Deadline.ofCall)
        }
        // A place that has become free can be used again.
        clients.removeLast()
        try server.waitForConnections(2)
        try expectService(server)
    }

    @Test("on admission: nothing is read before the decision, and a client that is refused gets the error")
    func readsNothingBeforeAdmission() throws {
        let asked = Mailbox<Void>()
        let answers = Answers()
        let server = try TestServer { service in
            try Echo.configure(service)
            service.admission = { _, answer in
                answers.append(answer)
                asked.put(())
            }
        }
        defer { server.stop() }
        let (first, second, third) = try (
            RawClient(server.path), RawClient(server.path), RawClient(server.path)
        )
        for _ in 0..<3 { try asked.take() }
        for client in [first, second, third] { try client.send(ping) }
        // This client goes away before the service knows whether it is admitted.
        shutdown(third.socket.rawValue, CInt(SHUT_RDWR))
        try server.waitForConnections(2)
        try server.onLoop { _ in
            answers.take(0)?(nil)
            answers.take(1)?(VarlinkErrorReply(Echo.method("NotYou")))
            answers.take(2)?(nil)
        }
        #expect(try first.receive() == pong)
        #expect(try second.receive() == #"{"error":"org.example.echo.NotYou","parameters":{}}"#)
        #expect(try second.receive() == nil)
        #expect(try server.dropped.take() == .notAdmitted)
        try server.waitForConnections(1)
    }

    @Test("on descriptors with a call: a client that sends more gets InvalidParameter and is dropped")
    func refusesTooManyDescriptors() throws {
        var limits = VarlinkLimits()
        limits.maximumDescriptorsPerMessage = 1
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try RawClient(server.path)
        let pipe = try Pipe()
        try client.send(ping, descriptors: [pipe.readEnd.rawValue])
        #expect(try client.receive() == pong)
        try client.send(ping, descriptors: [pipe.readEnd.rawValue, pipe.readEnd.rawValue])
        #expect(try client.receive() == invalid("message"))
        #expect(try server.dropped.take() == .tooManyDescriptors)
    }

    @Test("of more than two thousand connections is usable: all two thousand are answered, again and again")
    func servesTwoThousandConnections() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let count = 2000
        try #require(limit.rlim_cur > 2 * count + 500, "raise the hard limit of open files (ulimit -Hn)")
        var limits = VarlinkLimits()
        limits.maximumConnectionsPerUser = count + 10
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        do {
            let clients = try (0..<count).map { _ in try RawClient(server.path) }
            for _ in 0..<3 {
                for client in clients { try client.send(ping) }
                for client in clients { #expect(try client.receive() == pong) }
            }
            #expect(try server.onLoop { $0.connectionCount } == count)
        }
        try server.waitForConnections(0)
    }
}

/// The answers that a service's owner still has to give, on the loop's thread.
private final class Answers: @unchecked Sendable {
    // @unchecked: only the loop's thread uses it.
    typealias Answer = (VarlinkErrorReply?) -> Void

    private var all: [Answer] = []

    func append(_ answer: @escaping Answer) { all.append(answer) }

    func take(_ index: Int) -> Answer? { all.indices.contains(index) ? all[index] : nil }
}

/// The number of calls of a handler.
private final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .sequentiallyConsistent) }

    func add() { count.add(1, ordering: .sequentiallyConsistent) }
}
