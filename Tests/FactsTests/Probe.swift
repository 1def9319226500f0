import Glibc
import Synchronization
import SystemPackage
import TestKit
import Unix

/// A running `facts-probe session`: URLSession in a child, which may block, grow and die without harm to the tests.
final class Probe: Sendable {
    /// One line of what the child saw.
    struct Event: Sendable, CustomStringConvertible {
        let name: String
        let fields: [String: String]
        var description: String { "\(name) \(fields)" }

        init(_ line: String) {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            name = String(parts.first ?? "")
            let pairs = parts.dropFirst().map {
                $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            }
            fields = Dictionary(
                pairs.map { (String($0[0]), $0.count > 1 ? String($0[1]) : "") },
                uniquingKeysWith: { first, _ in first })
        }

        subscript(name: String) -> String { fields[name] ?? "" }
        func number(_ name: String) -> Int { Int(self[name]) ?? -999_999 }
    }

    private let program: Program
    private let input: OwnedDescriptor
    private let missed = Mutex<[Event]>([])

    /// - Parameters:
    ///   - options: the names in the probe's `ProbeOptions`, such as `gate=1000`.
    ///   - authority: the CA file that it trusts instead of the system's file.
    ///   - environment: added to the child's environment, from which proxies are removed.
    init(_ options: String..., authority: String? = nil, environment: [String: String] = [:]) throws {
        var variables = Program.inheritedEnvironment().filter { !$0.key.lowercased().hasSuffix("_proxy") }
        variables.merge(environment) { _, new in new }
        let pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        var command = (path: try Products.path("facts-probe"), arguments: ["session"] + options)
        if let authority {
            command = try Trust.command(command.path, command.arguments, authority: authority)
        }
        program = try Program(
            command.path, command.arguments, environment: variables, standardInput: pipe.readEnd.rawValue)
        input = try pipe.writeEnd.duplicate()
        _ = try next("ready")
    }

    var processID: Int32 { program.processID }
    var errors: String { program.errors }

    func send(_ words: String...) throws {
        _ = try FileDescriptor(rawValue: input.rawValue).writeAll((words.joined(separator: "\t") + "\n").utf8)
    }

    /// Starts a GET.
    func fetch(_ url: String, headers: [String] = []) throws {
        _ = try FileDescriptor(rawValue: input.rawValue)
            .writeAll(((["fetch", url] + headers).joined(separator: "\t") + "\n").utf8)
    }

    /// The next event of this name that satisfies the condition. Earlier events are kept for later calls.
    func next(
        _ name: String, within duration: Duration = Deadline.usual,
        where condition: (Event) -> Bool = { _ in true }
    ) throws -> Event {
        try next(name, until: Deadline(duration), where: condition)
    }

    private func next(_ name: String, until deadline: Deadline, where condition: (Event) -> Bool) throws
        -> Event
    {
        let old: Event? = missed.withLock { events in
            events.firstIndex { $0.name == name && condition($0) }.map { events.remove(at: $0) }
        }
        if let old { return old }
        while let line = try program.line(until: deadline) {
            let event = Event(line)
            if event.name == name, condition(event) { return event }
            missed.withLock { $0.append(event) }
        }
        throw TestFailure("the probe ended before '\(name)': \(try program.wait())")
    }

    /// Whether an event of this name comes within the time. False is a statement about a period: keep it short.
    func sees(
        _ name: String, within duration: Duration, where condition: (Event) -> Bool = { _ in true }
    ) -> Bool {
        (try? next(name, until: Deadline(exactly: duration), where: condition)) != nil
    }

    /// Fetches and waits for the completion.
    func outcome(
        _ url: String, headers: [String] = [], within duration: Duration = Deadline.usual
    ) throws -> Event {
        try fetch(url, headers: headers)
        return try next("complete", within: duration)
    }

    /// How the probe ends after a command has killed it.
    func exit(within duration: Duration = Deadline.usual) throws -> ProgramResult {
        try program.wait(within: duration)
    }

    /// Resident bytes now.
    func resident() throws -> Int { try MemoryProbe(processID: processID).resident }
    /// The processor time of its threads so far.
    func processorTime() throws -> Duration { try ProcessorTime.of(processID: processID) }
    /// Private bytes now.
    func privateBytes() throws -> Int { try MemoryProbe(processID: processID).privatePages }
    /// The private bytes that it has written.
    func writtenBytes() throws -> Int { try MemoryProbe(processID: processID).privateDirty }
}

/// The message where a fact no longer holds.
func revisit(_ fact: String, _ what: String) -> String {
    "\(fact) of the design no longer holds: \(what)"
}
