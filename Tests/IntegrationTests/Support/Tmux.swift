import Glibc
import TestKit
import Testing
import UnixSockets

/// A terminal that people use: a tmux of a test's own with one window, in which a shell runs.
final class Tmux: Sendable {
    static let path = "/usr/bin/tmux"
    private let directory: TemporaryDirectory
    private let server: Program
    private let socket: String

    init(columns: Int, lines: Int) throws {
        directory = try TemporaryDirectory("tmux")
        socket = directory.file("socket")
        var environment = Program.inheritedEnvironment().filter { !["TMUX", "LC_ALL"].contains($0.key) }
        environment["LANG"] = "C.UTF-8"
        environment["TERM"] = "xterm-256color"
        // In the foreground, so that it is ours to end.
        server = try Program(Self.path, ["-S", socket, "-f", "/dev/null", "-D"], environment: environment)
        try eventually("tmux listens") { access(socket, F_OK) == 0 }
        try run(["new-session", "-d", "-x", "\(columns)", "-y", "\(lines)", "/bin/sh"])
        // A prompt that is known, and that is not in the line that sets it.
        try type("PS1='rea''dy> '; clear")
        try eventually("the shell is ready", every: .milliseconds(50)) {
            try self.lines()[0] == "ready>"
        }
    }

    deinit {
        _ = try? run(["kill-server"])
        server.kill()
    }

    @discardableResult
    func run(_ arguments: [String]) throws -> String {
        try Program.run(Self.path, ["-S", socket] + arguments).successful().output
    }

    /// Presses keys, as tmux names them.
    func press(_ keys: String...) throws { try run(["send-keys"] + keys) }

    /// Types a line and Enter.
    func type(_ line: String) throws {
        try run(["send-keys", "-l", line])
        try press("Enter")
    }

    /// What is to be seen, without blanks at the end of lines.
    func lines() throws -> [String] {
        try run(["capture-pane", "-p"]).split(separator: "\n", omittingEmptySubsequences: false).map(
            String.init)
    }

    func screen() throws -> String { try lines().joined(separator: "\n") }

    func resize(columns: Int, lines: Int) throws {
        try run(["resize-window", "-x", "\(columns)", "-y", "\(lines)"])
    }

    /// tmux's own variable about the window.
    func value(_ name: String) throws -> String {
        try run(["display-message", "-p", "#{\(name)}"]).split(separator: "\n").first.map(String.init) ?? ""
    }

    /// What is not as a shell wants it: the terminal's modes, and what tmux knows of its screen.
    func modes() throws -> [String] {
        [
            try Program.run("/bin/stty", ["-F", try value("pane_tty"), "-a"]).successful().output,
            "cursor \(try value("cursor_flag"))", "alternate \(try value("alternate_on"))",
            "wrap \(try value("wrap_flag"))", "insert \(try value("insert_flag"))",
            "keypad \(try value("keypad_flag"))",
        ]
    }

    /// Waits until the screen is as it should be.
    func see(
        _ what: String, within duration: Duration = Deadline.usual, _ condition: ([String]) -> Bool
    ) throws {
        var seen: [String] = []
        do {
            try eventually("\(what)", within: duration, every: .milliseconds(50)) {
                seen = try lines()
                return condition(seen)
            }
        } catch {
            throw TestFailure(
                "\(what) is not to be seen:\n\(seen.joined(separator: "\n"))")
        }
    }
}
