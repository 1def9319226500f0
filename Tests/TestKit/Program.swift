internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage
public import Unix

/// How a program ended, and its output.
public struct ProgramResult: Sendable, CustomStringConvertible {
    /// How it ended.
    public let exit: ProcessExit
    /// What it wrote to its standard output and was not read as lines before.
    public let output: String
    /// What it wrote to its standard error.
    public let errors: String

    /// A text for a failing test.
    public var description: String { "\(exit)\noutput: \(output)\nerrors: \(errors)" }

    /// This value, if the exit status is 0.
    ///
    /// - Throws: `TestFailure` with all output of the program.
    public func successful() throws -> ProgramResult {
        guard exit == .exited(0) else { throw TestFailure("the program failed: \(description)") }
        return self
    }
}

/// A running program whose output is collected. It is killed, with its whole process group, when this value is
/// released.
///
/// It runs in a session of its own and inherits only descriptors 0 to 3. Its standard error goes to a memory file.
/// Its standard output goes to a pipe, which is read while a test waits (`line`, `wait`), unless a descriptor is
/// given.
///
/// ## Concurrency model
/// A lock guards the rest of the pipe's data and the exit, and is held while reading. Two threads may wait at once.
public final class Program: Sendable {
    private struct State {
        var pending: [UInt8] = []
        var atEnd = false
        var exit: ProcessExit?
    }

    /// The path that was started.
    public let path: String
    private let process: SpawnedProcess
    private let outputPipe: OwnedDescriptor
    private let errorFile: OwnedDescriptor
    private let state = Mutex(State())

    /// Starts it.
    ///
    /// - Parameters:
    ///   - path: absolute. `environment`: all of it; the test's own by default.
    ///   - standardOutput: a descriptor to write to; -1 to collect the output.
    ///   - standardError: a descriptor to write to; -1 to collect the output.
    ///   - control: becomes descriptor 3.
    /// - Throws: `Errno.noSuchFileOrDirectory` and other errors of `execve(2)`.
    public init(
        _ path: String, _ arguments: [String] = [], environment: [String: String]? = nil,
        standardInput: CInt = -1,
        standardOutput: CInt = -1, standardError: CInt = -1, control: CInt = -1
    ) throws(Errno) {
        self.path = path
        let pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        try setNonblocking(pipe.readEnd.rawValue, true)
        errorFile = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("stderr")))
        // The file is opened for appending, so that the output of a grandchild does not overwrite that of the child.
        _ = fcntlSetAppend(errorFile.rawValue)
        process = try SpawnedProcess(
            path: path, arguments: arguments,
            environment: (environment ?? Self.inheritedEnvironment()).map { "\($0.key)=\($0.value)" },
            standardInput: standardInput,
            standardOutput: standardOutput >= 0 ? standardOutput : pipe.writeEnd.rawValue,
            standardError: standardError >= 0 ? standardError : errorFile.rawValue, control: control,
            newSession: true)
        outputPipe = try pipe.readEnd.duplicate()
    }

    deinit { kill() }

    /// Starts a program, waits for its end and returns its output.
    public static func run(
        _ path: String, _ arguments: [String] = [], environment: [String: String]? = nil,
        standardInput: CInt = -1,
        within duration: Duration = Deadline.usual
    ) throws -> ProgramResult {
        let program = try Program(path, arguments, environment: environment, standardInput: standardInput)
        return try program.wait(within: duration)
    }

    /// The environment of the test process, which the caller may change and pass on.
    public static func inheritedEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let variable = entry.pointee {
            let text = String(cString: variable)
            if let equals = text.firstIndex(of: "=") {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            entry += 1
        }
        return result
    }

    /// For `/proc`, and for signals by `signal`.
    public var processID: Int32 { process.processID }

    /// Whether it still runs.
    public var isRunning: Bool { (try? exitNow()) == .some(.none) }

    /// What it has written to its standard error so far.
    public var errors: String {
        (try? readText("/proc/self/fd/\(errorFile.rawValue)")) ?? ""
    }

    /// Sends a signal. Does nothing where the program has ended.
    public func signal(_ number: Int32) { process.signal(number) }

    /// The next line of the standard output, without its newline; nil at the end of the output.
    ///
    /// - Throws: `TestFailure` past the deadline, with what the program said on standard error.
    public func line(within duration: Duration = Deadline.usual) throws -> String? {
        try line(until: Deadline(duration))
    }

    /// The same, up to a deadline that is shared with others.
    public func line(until deadline: Deadline) throws -> String? {
        while true {
            let found: String?? = state.withLock { state in
                if let newline = state.pending.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: state.pending[..<newline], as: UTF8.self)
                    state.pending.removeSubrange(...newline)
                    return line
                }
                guard state.atEnd else { return nil }
                let rest = state.pending
                state.pending = []
                return .some(rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self))
            }
            if let found { return found }
            guard waitFor(CInt(POLLIN), on: outputPipe.rawValue, until: deadline) else {
                throw TestFailure("\(path) said nothing for \(deadline.waited); errors: \(errors)")
            }
            readAvailable()
        }
    }

    /// Reads lines until one satisfies the condition, and returns it.
    ///
    /// - Throws: `TestFailure` past the deadline and at the end of the output.
    public func line(
        within duration: Duration = Deadline.usual, where condition: (String) -> Bool
    ) throws -> String {
        let deadline = Deadline(duration)
        while let line = try line(until: deadline) {
            if condition(line) { return line }
        }
        throw TestFailure("\(path) ended its output early; errors: \(errors)")
    }

    /// Waits for the end of the program. A program that outlives the deadline is killed.
    ///
    /// - Throws: `TestFailure` past the deadline.
    public func wait(within duration: Duration = Deadline.usual) throws -> ProgramResult {
        let deadline = Deadline(duration)
        while true {
            readAvailable()
            if let exit = try exitNow() {
                readAvailable()
                let output = state.withLock { state in
                    defer { state.pending = [] }
                    return String(decoding: state.pending, as: UTF8.self)
                }
                return ProgramResult(exit: exit, output: output, errors: errors)
            }
            if deadline.hasPassed {
                kill()
                throw TestFailure("\(path) still ran after \(deadline.waited); errors: \(errors)")
            }
            var entries = [
                pollfd(fd: process.pidfd.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: state.withLock { $0.atEnd } ? -1 : outputPipe.rawValue, events: Int16(POLLIN),
                    revents: 0),
            ]
            _ = poll(&entries, 2, deadline.milliseconds)
        }
    }

    /// Ends the program and its process group with SIGKILL, and reaps it. May be called twice.
    public func kill() {
        state.withLock { state in
            guard state.exit == nil else { return }
            // The program is not reaped yet, so no other process or group has its number.
            _ = Glibc.kill(-process.processID, SIGKILL)
            process.signal(SIGKILL)
            state.exit = (try? process.wait()) ?? .signalled(SIGKILL)
        }
    }

    private func exitNow() throws(Errno) -> ProcessExit? {
        try state.withLock { state throws(Errno) in
            if state.exit == nil { state.exit = try process.reap() }
            return state.exit
        }
    }

    private func readAvailable() {
        state.withLock { state in
            var chunk = [UInt8](repeating: 0, count: 65536)
            while !state.atEnd {
                let count = read(outputPipe.rawValue, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                if count < 0 { return }
                if count == 0 { state.atEnd = true }
                state.pending.append(contentsOf: chunk[..<count])
            }
        }
    }
}

/// Sets O_APPEND on the open file description of a descriptor.
private func fcntlSetAppend(_ descriptor: CInt) -> CInt {
    fcntl(descriptor, F_SETFL, O_APPEND)
}
