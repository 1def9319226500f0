import Glibc
import SluiceClient
import SystemPackage

/// The terminal in full-screen mode: the alternate screen, no cursor, keys as they are pressed.
///
/// `leave` restores what `enter` found. It may be called at any time, also twice.
final class TopScreen {
    /// The alternate screen, cleared; no cursor; a line that is too long is cut and not wrapped.
    private static let begin = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J"
    private static let end = "\u{1B}[0m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

    private let output = FileDescriptor.standardOutput
    private let hasKeys: Bool
    private var found = termios()
    private var isEntered = false

    /// - Parameter hasKeys: whether standard input is a terminal.
    init(hasKeys: Bool) {
        self.hasKeys = hasKeys
    }

    deinit { leave() }

    /// Switches the terminal to this mode. May be called again after another program has used the terminal.
    ///
    /// - Throws: the error of `write(2)`.
    func enter() throws {
        if hasKeys {
            if !isEntered { tcgetattr(STDIN_FILENO, &found) }
            var modes = found
            // Signals stay enabled: Ctrl-C and Ctrl-Z keep their meaning.
            modes.c_lflag &= ~tcflag_t(ICANON | ECHO)
            // VMIN and VTIME are elements 6 and 5 of the array. Swift imports the array as a tuple.
            modes.c_cc.6 = 1
            modes.c_cc.5 = 0
            tcsetattr(STDIN_FILENO, TCSADRAIN, &modes)
        }
        isEntered = true
        try write(Self.begin)
    }

    /// Restores the terminal.
    func leave() {
        guard isEntered else { return }
        isEntered = false
        // Where the terminal is gone, there is nowhere to report it.
        try? write(Self.end)
        if hasKeys { tcsetattr(STDIN_FILENO, TCSADRAIN, &found) }
    }

    /// Shows only these lines.
    ///
    /// - Parameter height: the height of the terminal.
    /// - Throws: the error of `write(2)`.
    func show(_ lines: [TopLine], width: Int, height: Int, clearing: Bool) throws {
        var text = clearing ? "\u{1B}[2J" : ""
        for (index, line) in lines.enumerated() {
            text += "\u{1B}[\(index + 1);1H"
            switch line.style {
            case .plain: text += line.text
            case .heading: text += "\u{1B}[7m\(line.text)\u{1B}[0m"
            case .warning: text += "\u{1B}[1;31m\(line.text)\u{1B}[0m"
            case .dim: text += "\u{1B}[2m\(line.text)\u{1B}[0m"
            }
            // After a line of full width the cursor stands on its last character.
            if line.text.count < width { text += "\u{1B}[K" }
        }
        if lines.count < height { text += "\u{1B}[\(lines.count + 1);1H\u{1B}[J" }
        try write(text)
    }

    private func write(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            do {
                bytes = bytes.dropFirst(try bytes.withUnsafeBytes { try output.write($0) })
            } catch Errno.resourceTemporarilyUnavailable {
                // Another process that shares the terminal may have made it non-blocking.
                var entry = pollfd(fd: output.rawValue, events: Int16(POLLOUT), revents: 0)
                poll(&entry, 1, 1000)
            }
        }
    }
}
