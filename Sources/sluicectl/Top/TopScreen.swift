import Glibc
import SluiceClient
import SystemPackage

/// A terminal that is all ours for a while: the alternate screen, no cursor, keys as they are pressed.
///
/// Nothing of it is left behind: `leave` puts back what `enter` found, and may be called at any time, also twice.
final class TopScreen {
    /// The alternate screen, cleared; no cursor; what is too long for a line is cut instead of wrapped.
    private static let begin = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J"
    private static let end = "\u{1B}[0m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

    private let output = FileDescriptor.standardOutput
    private let hasKeys: Bool
    private var found = termios()
    private var isEntered = false

    /// - Parameter hasKeys: standard input is a terminal.
    init(hasKeys: Bool) {
        self.hasKeys = hasKeys
    }

    deinit { leave() }

    /// Takes the terminal over; once more where something else has had it meanwhile.
    ///
    /// - Throws: what `write(2)` says.
    func enter() throws {
        if hasKeys {
            if !isEntered { tcgetattr(STDIN_FILENO, &found) }
            var modes = found
            // Signals stay: Ctrl-C and Ctrl-Z mean what they always mean.
            modes.c_lflag &= ~tcflag_t(ICANON | ECHO)
            // VMIN and VTIME are elements 6 and 5 of the array, which Swift has as a tuple.
            modes.c_cc.6 = 1
            modes.c_cc.5 = 0
            tcsetattr(STDIN_FILENO, TCSADRAIN, &modes)
        }
        isEntered = true
        try write(Self.begin)
    }

    /// Gives it back.
    func leave() {
        guard isEntered else { return }
        isEntered = false
        // Where the terminal is gone there is nobody to tell.
        try? write(Self.end)
        if hasKeys { tcsetattr(STDIN_FILENO, TCSADRAIN, &found) }
    }

    /// Shows the lines, and nothing else.
    ///
    /// - Parameter height: of the terminal.
    /// - Throws: what `write(2)` says.
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
            // Behind a full line the cursor stands on its last character.
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
                // Whoever shares the terminal with us may have made it so.
                var entry = pollfd(fd: output.rawValue, events: Int16(POLLOUT), revents: 0)
                poll(&entry, 1, 1000)
            }
        }
    }
}
