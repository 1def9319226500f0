internal import EventLoop
internal import Unix
internal import Varlink

/// The service's side of the certification.
final class CertificationService {
    private let service: VarlinkService
    /// The next method that each client must call.
    private var nextMethods: [String: String] = [:]
    private var clients = 0

    init(loop: EventLoop) throws {
        service = VarlinkService(
            loop: loop,
            info: ServiceInfo(
                vendor: "Varlink", product: "certification of a Swift service", version: "1",
                url: "https://varlink.org"))
        try service.add(InterfaceDescription(Script.description))
        try handle("Start", start)
        for step in Script.steps {
            try handle(step.method) { [unowned self] call in
                _ = try self.check(call, step.method)
                call.reply(step.reply)
            }
        }
        try handle("Test10", replyTenTimes)
        try handle("Test11") { [unowned self] call in
            _ = try self.check(call, "Test11")
        }
        try handle("End") { [unowned self] call in
            self.nextMethods[try self.check(call, "End")] = nil
            call.reply(["all_ok": true] as JSONValue)
        }
    }

    func listen(on socket: consuming OwnedDescriptor) throws {
        try service.listen(on: socket)
    }

    private func handle(_ method: String, _ handler: @escaping VarlinkService.Handler) throws {
        try service.handle("\(Script.interface).\(method)", handler)
    }

    private func start(_ call: VarlinkCall) throws {
        _ = try call.parameters(as: NoParameters.self)
        clients += 1
        let id = "client \(clients)"
        nextMethods[id] = "Test01"
        call.reply(["client_id": .string(id)] as JSONValue)
    }

    private func replyTenTimes(_ call: VarlinkCall) throws {
        try call.requireMore()
        _ = try check(call, "Test10")
        for (index, line) in Script.lines.enumerated() {
            call.reply(["string": line] as JSONValue, continues: index < Script.lines.count - 1)
        }
    }

    /// Fails a call that is out of order or has wrong parameters. Returns the client's id.
    private func check(_ call: VarlinkCall, _ method: String) throws -> String {
        guard case .object(var parameters) = try call.parameters(as: JSONValue.self),
            let id = parameters.removeValue(forKey: "client_id")?.stringValue, let next = nextMethods[id]
        else { throw VarlinkErrorReply("\(Script.interface).ClientIdError") }
        let expected = Script.expected(by: method) ?? .null
        let isOnewayAsItShould = call.isOneway == (method == "Test11")
        guard next == method, isOnewayAsItShould, Script.matches(.object(parameters), expected) else {
            nextMethods[id] = nil
            throw VarlinkErrorReply(
                "\(Script.interface).CertificationError",
                parameters: [
                    "wants": ["method": .string(next), "parameters": expected],
                    "got": ["method": .string(method), "parameters": .object(parameters)],
                ])
        }
        nextMethods[id] = Script.successor(of: method)
        return id
    }
}
