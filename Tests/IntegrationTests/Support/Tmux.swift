import Glibc
import TestKit
import Testing
import Unix

/// A real terminal: a tmux of the test's own with one window, in which a shell runs.
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
        // tmux runs in the foreground, so that this object can end it.
        server = try Program(Self.path, ["-S", socket, "-f", "/dev/null", "-D"], environment: environment)
        try eventually("tmux listens") { access(socket, F_OK) == 0 }
        try run(["new-session", "-d", "-x", "\(columns)", "-y", "\(lines)", "/bin/sh"])
        // A known prompt, which the line that sets it does not contain.
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

    /// The visible text, without blanks at the end of lines.
    func lines() throws -> [String] {
        try run(["capture-pane", "-p"]).split(separator: "\n", omittingEmptySubsequences: false).map(
            String.init)
    }

    func screen() throws -> String { try lines().joined(separator: "\n") }

    func resize(columns: Int, lines: Int) throws {
        try run(["resize-window", "-x", "\(columns)", "-y", "\(lines)"])
    }

    /// The value of a tmux variable of the window.
    func value(_ name: String) throws -> String {
        try run(["display-message", "-p", "#{\(name)}"]).split(separator: "\n").first.map(String.init) ?? ""
    }

    /// The modes of the terminal, and what tmux knows about its screen. A shell expects them unchanged.
    func modes() throws -> [String] {
        [
            try Program.run("/bin/stty", ["-F", try value("pane_tty"), "-a"]).successful().output,
            "cursor \(try value("cursor_flag"))", "alternate \(try value("alternate_on"))",
            "wrap \(try value("wrap_flag"))", "insert \(try value("insert_flag"))",
            "keypad \(try value("keypad_flag"))",
        ]
    }

    /// Waits until the screen shows what is expected.
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
