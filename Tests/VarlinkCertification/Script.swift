internal import Varlink

/// `org.varlink.certification`: the parameters that each call must have, and the answer to it. The reply to one call
/// contains the parameters of the next.
enum Script {
    static let interface = "org.varlink.certification"

    struct Step {
        let method: String
        let reply: JSONValue
    }

    /// The calls with one reply before `Test10`, which answers `Test09`'s reply with ten replies, and `Test11`, a
    /// oneway call that sends these back.
    static let steps: [Step] = [
        Step(method: "Test01", reply: ["bool": true]),
        Step(method: "Test02", reply: ["int": 1]),
        Step(method: "Test03", reply: ["float": 1.0]),
        Step(method: "Test04", reply: ["string": "ping"]),
        Step(method: "Test05", reply: values),
        Step(method: "Test06", reply: ["struct": values]),
        Step(method: "Test07", reply: ["map": ["foo": "Foo", "bar": "Bar"]]),
        Step(method: "Test08", reply: ["set": ["one": [:], "two": [:], "three": [:]]]),
        Step(method: "Test09", reply: ["mytype": myType]),
    ]

    static let lines: [JSONValue] = (1...10).map { .string("Reply number \($0)") }

    private static let values: JSONValue = [
        "bool": false, "int": 2, "float": .double(.pi), "string": "a lot of string",
    ]

    private static let myType: JSONValue = [
        "object": [
            "method": "org.varlink.certification.Test09",
            "parameters": ["map": ["foo": "Foo", "bar": "Bar"]],
        ],
        "enum": "two",
        "struct": ["first": 1, "second": "2"],
        "array": ["one", "two", "three"],
        "dictionary": ["foo": "Foo", "bar": "Bar"],
        "stringset": ["one": [:], "two": [:], "three": [:]],
        "nullable": nil,
        "nullable_array_struct": nil,
        "interface": [
            "foo": [nil, ["foo": "foo", "bar": "bar"], nil, ["one": "foo", "two": "bar"]],
            "anon": ["foo": true, "bar": false],
        ],
    ]

    /// The parameters that the call of this method must have beside the client's id; nil for a method that is not in
    /// the script.
    static func expected(by method: String) -> JSONValue? {
        switch method {
        case "Test01", "End": return [:]
        case "Test10": return steps.last?.reply
        case "Test11": return ["last_more_replies": .array(lines)]
        default:
            guard let index = steps.firstIndex(where: { $0.method == method }), index > 0 else { return nil }
            return steps[index - 1].reply
        }
    }

    /// The method that must follow this one; nil after the last one.
    static func successor(of method: String) -> String? {
        let order = ["Start"] + steps.map(\.method) + ["Test10", "Test11", "End"]
        guard let index = order.firstIndex(of: method), index + 1 < order.count else { return nil }
        return order[index + 1]
    }

    /// Whether a value equals the expected one in JSON: 1 equals 1.0, and a null field may be omitted.
    static func matches(_ value: JSONValue, _ expected: JSONValue) -> Bool {
        switch (value, expected) {
        case (.integer(let a), .double(let b)), (.double(let b), .integer(let a)):
            return Double(a) == b
        case (.array(let a), .array(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { matches($0, $1) }
        case (.object(let a), .object(let b)):
            return Set(a.keys).union(b.keys).allSatisfy { matches(a[$0] ?? .null, b[$0] ?? .null) }
        default:
            return value == expected
        }
    }
}
