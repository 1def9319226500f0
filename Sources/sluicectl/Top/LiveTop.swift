import FoundationEssentials
import Glibc
import SluiceClient

/// The live view: handles keys, signals, samples and the terminal in one thread.
final class LiveTop {
    private let signals: SignalMailbox
    private let sampler: TopSampler
    private let screen: TopScreen
    private let hasKeys: Bool
    private let limit: Int?
    private let isUnicode: Bool
    private var model: TopModel
    private var decoder = TopKeyDecoder()
    private var samples = 0

    /// - Parameter limit: the number of samples after which it ends; nil for no limit.
    init(_ model: TopModel, serviceAt path: String, limit: Int?) throws(SluiceError) {
        self.model = model
        self.limit = limit
        hasKeys = isatty(STDIN_FILENO) == 1
        isUnicode = Terminal.isUnicode(ProcessInfo.processInfo.environment)
        signals = try SignalMailbox([SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT])
        sampler = try TopSampler(serviceAt: path, delay: model.delay)
        screen = TopScreen(hasKeys: hasKeys)
    }

    /// Runs the view until the user quits.
    ///
    /// - Returns: the exit status.
    func run() throws -> ExitStatus {
        defer { screen.leave() }
        try sampler.start()
        defer { sampler.stop() }
        try screen.enter()
        try draw(clearing: true)
        while true {
            var entries = [sampler.rawDescriptor, signals.rawDescriptor, hasKeys ? STDIN_FILENO : -1].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            // The timeout makes the view redraw even where nothing arrives, since that has to be shown, too.
            poll(&entries, 3, 1000)
            if entries[1].revents != 0, let status = try heed(signals.take()) { return status }
            if entries[2].revents != 0, let status = try readKeys() { return status }
            if let event = sampler.take() {
                switch event {
                case .sample(let sample):
                    model.take(sample)
                    samples += 1
                case .lost(let reason): model.lose(reason, at: TopClock.seconds)
                }
            }
            try draw()
            if let limit, samples >= limit { return .complete }
        }
    }

    private func draw(clearing: Bool = false) throws {
        let size = Terminal(STDOUT_FILENO, environment: [:]) ?? Terminal(width: 80, isUnicode: false)
        let lines = TopLayout.screen(
            &model, width: size.width, height: size.height, isUnicode: isUnicode, at: TopClock.seconds)
        try screen.show(lines, width: size.width, height: size.height, clearing: clearing)
    }

    /// - Returns: the exit status where the view must end, else nil.
    private func heed(_ numbers: [Int32]) throws -> ExitStatus? {
        for number in numbers {
            switch number {
            case SIGWINCH: try draw(clearing: true)
            case SIGTSTP:
                screen.leave()
                SignalMailbox.passOn(number)
                try screen.enter()
                try draw(clearing: true)
            case SIGCONT:
                // Another program that used the terminal meanwhile may have changed its modes.
                try screen.enter()
                try draw(clearing: true)
            default: return ExitStatus(signal: number) ?? .local
            }
        }
        return nil
    }

    private func readKeys() throws -> ExitStatus? {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        guard count > 0 else {
            // The terminal is gone.
            return count < 0 && (errno == EINTR || errno == EAGAIN) ? nil : .hungUp
        }
        for key in decoder.decode(bytes[..<count]) {
            switch model.press(key) {
            case .draw: break
            case .redraw: try draw(clearing: true)
            case .setDelay(let delay): sampler.setDelay(delay)
            case .quit: return .complete
            }
        }
        return nil
    }
}
