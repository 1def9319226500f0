internal import Varlink

/// The client's side of the certification.
enum CertificationClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func run(_ client: VarlinkClient, deadline: Int) throws {
        guard let id = try client.call(name("Start"), as: JSONValue.self, deadline: deadline)["client_id"]
        else {
            throw Failure(description: "Start gave no client_id")
        }
        var parameters: JSONValue = [:]
        for step in Script.steps {
            let reply = try client.call(
                name(step.method), with(id, parameters), as: JSONValue.self, deadline: deadline)
            // The service checks the last value when it is sent back, since varlink-go's own value differs ("Foo" for
            // "foo").
            guard step.method == "Test09" || Script.matches(without(reply), step.reply) else {
                throw Failure(description: "\(step.method) answered \(reply)")
            }
            parameters = without(reply)
        }
        let lines = try stream(client, with(id, parameters), deadline)
        try client.send(
            name("Test11"), with(id, ["last_more_replies": .array(lines)]), mode: .oneway, deadline: deadline)
        let end = try client.call(name("End"), with(id, [:]), as: JSONValue.self, deadline: deadline)
        guard end["all_ok"] == true else { throw Failure(description: "End answered \(end)") }
    }

    private static func stream(
        _ client: VarlinkClient, _ parameters: JSONValue, _ deadline: Int
    ) throws -> [JSONValue] {
        try client.send(name("Test10"), parameters, mode: .more, deadline: deadline)
        var lines: [JSONValue] = []
        var continues = true
        while continues {
            let reply = try client.next(deadline: deadline)
            lines.append(try reply.decode(as: JSONValue.self)["string"] ?? .null)
            continues = reply.continues
        }
        guard lines == Script.lines else { throw Failure(description: "Test10 answered \(lines)") }
        return lines
    }

    private static func name(_ method: String) -> String { "\(Script.interface).\(method)" }

    private static func with(_ id: JSONValue, _ parameters: JSONValue) -> JSONValue {
        guard case .object(var fields) = parameters else { return parameters }
        fields["client_id"] = id
        return .object(fields)
    }

    /// Some services answer Test09 with the client's id in addition to the declared fields.
    private static func without(_ reply: JSONValue) -> JSONValue {
        guard case .object(var fields) = reply else { return reply }
        fields["client_id"] = nil
        return .object(fields)
    }
}
