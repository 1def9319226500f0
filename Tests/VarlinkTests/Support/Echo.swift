import EventLoop
import TestKit
import Varlink

/// The interface that the tests talk to.
enum Echo {
    static let description = """
        # For tests.
        interface org.example.echo
        type Item (name: string, weight: ?int)
        type Colour (red, green)
        # Gives back what it gets.
        method Echo(text: string, count: ?int, items: ?[]Item, colour: ?Colour, any: ?object) -> (text: string)
        # Has no parameters that it needs.
        method Optional(text: ?string) -> (text: ?string)
        # Counts down.
        method Count(from: int) -> (number: int)
        # Fails.
        method Fail(how: string) -> ()
        # Is not there.
        method Missing() -> ()
        # Waits for `release`.
        method Hold() -> (text: string)
        # Gives a large text.
        method Large(size: int) -> (text: string)
        # Takes and gives descriptors.
        method Swap(inputFileDescriptor: ?int) -> (outputFileDescriptor: int, size: int)
        # Leaves Varlink.
        method Upgrade() -> (text: string)
        error Refused (why: string)
        error Overloaded ()
        """

    struct Text: Codable, Sendable, Equatable {
        var text: String
    }
    struct OptionalText: Codable, Sendable, Equatable {
        var text: String?
    }
    struct Item: Codable, Sendable {
        var name: String
        var weight: Int?
    }
    enum Colour: String, Codable, Sendable {
        case red, green
    }
    struct Request: Codable, Sendable {
        var text: String
        var count: Int?
        var items: [Item]?
        var colour: Colour?
        var any: JSONValue?
    }
    struct From: Codable, Sendable {
        var from: Int
    }
    struct Number: Codable, Sendable, Equatable {
        var number: Int
    }
    struct How: Codable, Sendable {
        var how: String
    }
    struct Size: Codable, Sendable {
        var size: Int
    }
    struct Nameless: Error {}

    static func method(_ name: String) -> String { "org.example.echo.\(name)" }

    static func configure(_ service: VarlinkService) throws {
        try service.add(InterfaceDescription(description))
        try service.handle(method("Echo")) { call in
            call.reply(Text(text: try call.parameters(as: Request.self).text))
        }
        try service.handle(method("Optional")) { call in
            call.reply(try call.parameters(as: OptionalText.self))
        }
        try service.handle(method("Count")) { call in
            try call.requireMore()
            let first = try call.parameters(as: From.self).from
            for number in stride(from: first, through: 0, by: -1) {
                call.reply(Number(number: number), continues: number > 0)
            }
        }
        try service.handle(method("Fail")) { call in
            switch try call.parameters(as: How.self).how {
            case "named": throw VarlinkErrorReply(method("Refused"), parameters: ["why": "so"])
            case "forgotten": return
            case "not finite": call.reply(["number": Double.nan])
            case "continues": call.reply(continues: true)
            default: throw Nameless()
            }
        }
        try service.handle(method("Large")) { call in
            let size = try call.parameters(as: Size.self).size
            call.reply(Text(text: String(repeating: "x", count: size)))
        }
    }
}

extension VarlinkCall {
    func reply(continues: Bool) {
        reply(NoParameters(), continues: continues)
    }
}

extension VarlinkClient {
    func nextText() throws -> String {
        try next(deadline: Deadline.ofCall).decode(as: Echo.Text.self).text
    }
}
