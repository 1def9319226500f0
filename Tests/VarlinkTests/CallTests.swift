import TestKit
import Testing
import Unix
import Varlink

@Suite("A call") struct CallTests {
    private func error(_ name: String, _ parameters: JSONValue = [:]) -> VarlinkClientError {
        .error(name: name, parameters: parameters)
    }

    private func invalid(_ parameter: String) -> VarlinkClientError {
        error("org.varlink.service.InvalidParameter", ["parameter": .string(parameter)])
    }

    @Test("is answered")
    func isAnswered() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        for text in ["one", "zwei", "\u{0}", String(repeating: "long", count: 100_000)] {
            let reply = try client.call(
                Echo.method("Echo"), ["text": text], as: Echo.Text.self, deadline: Deadline.ofCall)
            #expect(reply.text == text)
        }
    }

    @Test(
        "may omit its parameters, or give null or {}",
        arguments: [
            #"{"method":"org.example.echo.Optional"}"#,
            #"{"method":"org.example.echo.Optional","parameters":null}"#,
            #"{"method":"org.example.echo.Optional","parameters":{}}"#,
            #"{"parameters":{"text":null},"method":"org.example.echo.Optional","more":null,"unknown":1}"#,
        ])
    func mayOmitParameters(call: String) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try RawClient(server.path)
        try client.send(call + "\0")
        #expect(try client.receive() == #"{"parameters":{}}"#)
    }

    @Test(
        "with a parameter that does not match its declaration gets an error that names the parameter",
        arguments: [
            ([:], "text"),
            (["text": 1], "text"),
            (["text": nil], "text"),
            (["text": "x", "txet": 1], "txet"),
            (["text": "x", "count": "1"], "count"),
            (["text": "x", "count": 1.5], "count"),
            (["text": "x", "count": 9.3e18], "count"),
            (["text": "x", "items": [["name": "a"], ["nam": "b"]]], "items.1.nam"),
            (["text": "x", "items": [["name": "a"], ["weight": 1]]], "items.1.name"),
            (["text": "x", "items": [["name": "a", "weight": true]]], "items.0.weight"),
            (["text": "x", "colour": "blue"], "colour"),
            ("text", "parameters"),
            ([1], "parameters"),
        ] as [(JSONValue, String)])
    func namesInvalidParameter(parameters: JSONValue, name: String) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        #expect(throws: invalid(name)) {
            try client.call(Echo.method("Echo"), parameters, as: JSONValue.self, deadline: Deadline.ofCall)
        }
        // The connection still works.
        let reply = try client.call(
            Echo.method("Echo"), ["text": "x"], as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(reply.text == "x")
    }

    @Test(
        "of a method that is unknown, not implemented or badly named gets the error that says so",
        arguments: [
            ("org.example.echo.Nothing", "MethodNotFound", ["method": "org.example.echo.Nothing"]),
            ("org.example.echo.Missing", "MethodNotImplemented", ["method": "org.example.echo.Missing"]),
            ("org.example.other.Echo", "InterfaceNotFound", ["interface": "org.example.other"]),
            ("Echo", "InvalidParameter", ["parameter": "method"]),
            ("", "InvalidParameter", ["parameter": "method"]),
            (".", "InterfaceNotFound", ["interface": ""]),
        ] as [(String, String, JSONValue)])
    func unknownMethodGetsError(method: String, name: String, parameters: JSONValue) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        #expect(throws: error("org.varlink.service.\(name)", parameters)) {
            try client.call(method, as: JSONValue.self, deadline: Deadline.ofCall)
        }
    }

    @Test(
        "whose handler fails, drops the call or gives an invalid reply is answered with an error",
        arguments: [
            ("named", "org.example.echo.Refused", ["why": "so"]),
            ("nameless", "io.systemd.System", ["origin": "linux", "errnoName": "EIO", "errno": 5]),
            ("forgotten", "io.systemd.System", ["origin": "linux", "errnoName": "EIO", "errno": 5]),
            ("not finite", "io.systemd.System", ["origin": "linux", "errnoName": "EIO", "errno": 5]),
            ("continues", "org.varlink.service.ExpectedMore", [:]),
        ] as [(String, String, JSONValue)])
    func failedHandlerGetsError(how: String, name: String, parameters: JSONValue) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        #expect(throws: error(name, parameters)) {
            try client.call(Echo.method("Fail"), ["how": how], as: JSONValue.self, deadline: Deadline.ofCall)
        }
    }

    @Test("with more gets all its replies, and without more the error ExpectedMore")
    func severalRepliesNeedMore() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        #expect(throws: error("org.varlink.service.ExpectedMore")) {
            try client.call(
                Echo.method("Count"), Echo.From(from: 3), as: Echo.Number.self, deadline: Deadline.ofCall)
        }
        try client.send(Echo.method("Count"), Echo.From(from: 1000), mode: .more)
        for number in stride(from: 1000, through: 0, by: -1) {
            let reply = try client.next(deadline: Deadline.ofCall)
            let (received, continues) = (try reply.decode(as: Echo.Number.self).number, reply.continues)
            #expect(received == number)
            #expect(continues == (number > 0))
        }
        let isThereMore = try client.receiveIfAvailable() != nil
        #expect(!isThereMore)
    }

    @Test("that is oneway is never answered, not even with an error")
    func onewayIsNeverAnswered() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        try client.send(Echo.method("Echo"), ["text": "silent"], mode: .oneway)
        try client.send(Echo.method("Fail"), ["how": "named"], mode: .oneway)
        try client.send(Echo.method("Fail"), ["how": "forgotten"], mode: .oneway)
        try client.send(Echo.method("Nothing"), mode: .oneway)
        let reply = try client.call(
            Echo.method("Echo"), ["text": "loud"], as: Echo.Text.self, deadline: Deadline.ofCall)
        #expect(reply.text == "loud")
    }

    @Test("that is oneway is handled even if its client has gone")
    func onewayIsHandledWithoutItsClient() throws {
        let texts = Mailbox<String>()
        let server = try TestServer { service in
            try service.add(InterfaceDescription(Echo.description))
            try service.handle(Echo.method("Echo")) { texts.put(try $0.parameters(as: Echo.Text.self).text) }
        }
        defer { server.stop() }
        for number in 0..<10 {
            let client = try server.connect()
            try client.send(Echo.method("Echo"), ["text": "\(number)"], mode: .oneway)
        }
        var received: Set<String> = []
        for _ in 0..<10 { received.insert(try texts.take()) }
        #expect(received == Set((0..<10).map(String.init)))
    }

    @Test(
        "is answered in its turn, however many calls are sent ahead and in pieces of any size",
        arguments: [1, 13, 5000])
    func pipelinedCallsAreAnsweredInOrder(size: Int) throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try RawClient(server.path)
        let calls = (0..<100).map {
            #"{"method":"org.example.echo.Echo","parameters":{"text":"\#($0)"}}"# + "\0"
        }
        let bytes = Array(calls.joined().utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            try client.send(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        client.finishSending()
        for number in 0..<100 {
            #expect(try client.receive() == #"{"parameters":{"text":"\#(number)"}}"#)
        }
        #expect(try client.receive() == nil)
    }

    @Test("can ask for a description of the service and of its interfaces")
    func describesServiceAndInterfaces() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.connect()
        let info = try client.call(
            "org.varlink.service.GetInfo", as: JSONValue.self, deadline: Deadline.ofCall)
        #expect(
            info == [
                "vendor": "Vendor", "product": "Product", "version": "1", "url": "https://example.org",
                "interfaces": ["org.example.echo", "org.varlink.service"],
            ])
        for interface in ["org.example.echo", "org.varlink.service"] {
            let reply = try client.call(
                "org.varlink.service.GetInterfaceDescription", ["interface": interface],
                as: [String: String].self, deadline: Deadline.ofCall)
            #expect(try InterfaceDescription(reply["description"] ?? "").name == interface)
        }
        #expect(throws: error("org.varlink.service.InterfaceNotFound", ["interface": "a.b"])) {
            try client.call(
                "org.varlink.service.GetInterfaceDescription", ["interface": "a.b"], as: JSONValue.self,
                deadline: Deadline.ofCall)
        }
    }

    @Test("carries the credentials of its caller")
    func carriesCallersCredentials() throws {
        let peers = Mailbox<PeerCredentials>()
        let server = try TestServer { service in
            try service.add(InterfaceDescription(Echo.description))
            try service.handle(Echo.method("Missing")) { call in
                peers.put(call.peer)
                call.reply()
            }
        }
        defer { server.stop() }
        _ = try server.connect().call(
            Echo.method("Missing"), as: NoParameters.self, deadline: Deadline.ofCall)
        let pair = try UnixSocket.streamPair()
        #expect(try peers.take() == PeerCredentials(of: pair.first))
    }

    @Test("cannot be registered for an undeclared method, and no interface can be added twice")
    func refusesWrongRegistration() throws {
        let server = try TestServer { service in
            try service.add(InterfaceDescription(Echo.description))
            #expect(throws: VarlinkService.RegistrationError.interfaceExists("org.example.echo")) {
                try service.add(InterfaceDescription(Echo.description))
            }
            #expect(throws: VarlinkService.RegistrationError.methodNotDeclared("org.example.echo.Nothing")) {
                try service.handle("org.example.echo.Nothing") { _ in }
            }
            #expect(service.unhandledMethods.contains("org.example.echo.Missing"))
        }
        server.stop()
    }
}
