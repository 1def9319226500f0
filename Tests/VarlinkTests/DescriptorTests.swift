import Glibc
import TestKit
import Testing
import Unix
import Varlink

@Suite("Descriptors and upgrades") struct DescriptorTests {
    private struct Swap: Codable {
        var inputFileDescriptor: Int?
    }
    private struct Swapped: Codable {
        var outputFileDescriptor: Int
        var size: Int
    }

    /// A service whose Swap takes the read end of a pipe, and replies with another one that holds the same number of
    /// bytes.
    private func server() throws -> TestServer {
        // A write to a peer that has gone must fail, and not end the test process.
        signal(SIGPIPE, SIG_IGN)
        return try TestServer { service in
            try Echo.configure(service)
            try service.handle(Echo.method("Swap")) { call in
                let index = try call.parameters(as: Swap.self).inputFileDescriptor
                var size = 0
                if let index {
                    guard let input = call.takeDescriptor(index) else {
                        throw VarlinkServiceError.invalidParameter("inputFileDescriptor")
                    }
                    size = try input.readableBytes()
                }
                let pipe = try Pipe()
                _ = write(pipe.writeEnd.rawValue, [UInt8](repeating: 1, count: size), size)
                call.reply(Swapped(outputFileDescriptor: call.push(pipe.readEnd), size: size))
            }
            try service.handle(Echo.method("Upgrade")) { call in
                guard call.wantsUpgrade else { throw VarlinkErrorReply(Echo.method("Refused")) }
                call.upgrade(Echo.Text(text: "go on")) { socket, received in
                    // Answers in capital letters, and then closes the connection.
                    var bytes = received
                    var buffer = [UInt8](repeating: 0, count: 100)
                    while !bytes.contains(UInt8(ascii: ".")) {
                        let count = recv(socket.rawValue, &buffer, buffer.count, 0)
                        if count == 0 { return }
                        if count > 0 { bytes += buffer.prefix(count) }
                    }
                    let answer = bytes.map { $0 >= 97 && $0 <= 122 ? $0 - 32 : $0 }
                    _ = write(socket.rawValue, answer, answer.count)
                }
            }
        }
    }

    @Test(
        "of a client that goes before its upgrade is complete: the call is notified, and the connection ends")
    func clientGoesBeforeUpgrade() throws {
        let gone = Mailbox<Void>()
        let waiting = Mailbox<Void>()
        let server = try TestServer { service in
            try Echo.configure(service)
            try service.handle(Echo.method("Upgrade")) { call in
                call.onDisconnect = { gone.put(()) }
                call.upgrade(Echo.Text(text: String(repeating: "x", count: 1 << 20))) { _, _ in }
                waiting.put(())
            }
        }
        defer { server.stop() }
        do {
            let client = try RawClient(server.path)
            try client.send(#"{"method":"org.example.echo.Upgrade","upgrade":true}"# + "\0")
            try waiting.take()
        }
        try gone.take()
        try server.waitForConnections(0)
    }

    @Test("of clients that are not accepted yet are not closed on the loop's thread when the service closes")
    func unacceptedAreNotClosedOnLoop() throws {
        let handedOver = Mailbox<Void>()
        let server = try TestServer { service in
            try Echo.configure(service)
            service.mayAccept = { false }
            service.onUnreadSocket = { _ in handedOver.put(()) }
        }
        defer { server.stop() }
        let pipe = try Pipe()
        let client = try RawClient(server.path)
        try client.send("x", descriptors: [pipe.readEnd.rawValue])
        try server.onLoop { $0.close() }
        try handedOver.take()
        #expect(try client.receive() == nil)
    }

    @Test("pass both ways with the call and the reply that they belong to")
    func passBothWays() throws {
        let server = try server()
        defer { server.stop() }
        let client = try server.connect()
        for size in [1, 100, 5000] {
            let pipe = try Pipe()
            _ = write(pipe.writeEnd.rawValue, [UInt8](repeating: 1, count: size), size)
            var reply = try client.callWithDescriptors(
                Echo.method("Swap"), Swap(inputFileDescriptor: 0), descriptors: [pipe.readEnd.rawValue],
                deadline: Deadline.ofCall)
            let swapped = try reply.decode(as: Swapped.self)
            #expect(swapped.size == size)
            let output = try take(&reply, swapped.outputFileDescriptor)
            #expect(try output.readableBytes() == size)
            // The service has closed its end, so the read reaches the end of file.
            var buffer = [UInt8](repeating: 0, count: size + 1)
            #expect(read(output.rawValue, &buffer, buffer.count) == size)
            #expect(read(output.rawValue, &buffer, buffer.count) == 0)
        }
        #expect(throws: VarlinkClientError.self) {
            try client.call(
                Echo.method("Swap"), Swap(inputFileDescriptor: 0), as: Swapped.self, deadline: Deadline.ofCall
            )
        }
    }

    private func take(_ reply: inout VarlinkReply, _ index: Int) throws -> OwnedDescriptor {
        guard let descriptor = reply.takeDescriptor(index) else { throw Mailbox<Void>.TimedOut() }
        return descriptor
    }

    @Test("arrive only with their own reply, even if calls are sent ahead and replies are read late")
    func arriveOnlyWithTheirReply() throws {
        let server = try server()
        defer { server.stop() }
        let client = try RawClient(server.path)
        let echo = #"{"method":"org.example.echo.Echo","parameters":{"text":"x"}}"# + "\0"
        try client.send(echo + Self.swap + echo + Self.swap + Self.swap + echo)
        try answeredAll(server)
        var messages: [(replies: Int, descriptors: Int)] = []
        while messages.reduce(0, { $0 + $1.replies }) < 6 {
            try #require(waitFor(POLLIN, on: client.socket.rawValue, until: Deadline()))
            messages.append(try receiveOnce(client))
        }
        for message in messages where message.descriptors > 0 {
            #expect(message.descriptors == 1)
            #expect(message.replies == 1)
        }
        #expect(messages.reduce(0) { $0 + $1.descriptors } == 3)
    }

    @Test("of successive replies do not wait for each other: the kernel keeps such replies apart")
    func repliesInARowStayApart() throws {
        let server = try server()
        defer { server.stop() }
        let client = try RawClient(server.path)
        try client.send(Self.swap + Self.swap + Self.swap)
        try answeredAll(server)
        for _ in 0..<3 {
            let message = try receiveOnce(client)
            #expect(message.replies == 1)
            #expect(message.descriptors == 1)
        }
    }

    private static let swap = #"{"method":"org.example.echo.Swap"}"# + "\0"

    /// Waits until the service has read everything that was sent before this call: it then has answered a client that
    /// came later, twice, and has sent what it may send.
    private func answeredAll(_ server: TestServer) throws {
        for _ in 0..<2 {
            _ = try server.connect().call(
                "org.varlink.service.GetInfo", as: JSONValue.self, deadline: Deadline.ofCall)
        }
    }

    /// Receives what is there now.
    private func receiveOnce(_ client: RawClient) throws -> (replies: Int, descriptors: Int) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
        defer { buffer.deallocate() }
        let message = try SocketMessage.receive(into: buffer, from: client.socket, dontWait: true)
        try #require(message.count > 0)
        return (buffer[..<message.count].filter { $0 == 0 }.count, message.descriptors.count)
    }

    @Test("that the service does not take from a call are closed")
    func untakenAreClosed() throws {
        let server = try server()
        defer { server.stop() }
        let client = try server.connect()
        let pipe = try Pipe()
        let copy = try pipe.readEnd.duplicate()
        _ = try client.call(
            Echo.method("Swap"), Swap(), as: Swapped.self, descriptors: [copy.rawValue],
            deadline: Deadline.ofCall)
        _ = try client.call("org.varlink.service.GetInfo", as: JSONValue.self, deadline: Deadline.ofCall)
        try closeReaders(copy, pipe.readEnd.rawValue)
        // A write fails when no reader is left.
        #expect(write(pipe.writeEnd.rawValue, [1], 1) == -1)
    }

    /// Closes one descriptor, and replaces the other one, `number`, by /dev/null.
    private func closeReaders(_ copy: consuming OwnedDescriptor, _ number: CInt) throws {
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        dup2(null, number)
        close(null)
    }

    @Test("An upgraded connection leaves the service, and bytes that arrived early are not lost")
    func upgradedConnectionLeavesService() throws {
        let server = try server()
        defer { server.stop() }
        let client = try server.connect()
        let upgraded = try client.upgrade(
            Echo.method("Upgrade"), as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(upgraded.reply.text == "go on")
        _ = write(upgraded.socket.rawValue, Array("hello.".utf8), 6)
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(recv(upgraded.socket.rawValue, &buffer, buffer.count, 0) == 6)
        #expect(buffer.prefix(6) == Array("HELLO.".utf8)[...])
        #expect(try server.onLoop { $0.connectionCount } == 0)
        #expect(recv(upgraded.socket.rawValue, &buffer, buffer.count, 0) == 0)

        let eager = try RawClient(server.path)
        try eager.send(#"{"method":"org.example.echo.Upgrade","upgrade":true}"# + "\0early\0.")
        #expect(try eager.receive() == #"{"parameters":{"text":"go on"}}"#)
        #expect(try eager.receive() == "EARLY")
    }
}
