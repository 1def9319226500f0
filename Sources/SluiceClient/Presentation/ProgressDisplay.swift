internal import Glibc
public import SluiceInterface
internal import Synchronization
internal import Unix

/// Shows the progress of a job while another thread does the work.
///
/// On a terminal the display redraws one line, and removes it before `stop` returns. Elsewhere it writes a line every
/// few seconds. Where the service goes away, the display looks for it until `stop`, since the service may be
/// restarting. Any other error ends the display and has no further effect.
///
/// ## Concurrency model
/// The thread that the display starts owns the connection, the watch and the meter. Other threads use only the signal
/// and a lock. The lock is held while a line is drawn, so nothing is drawn after `stop` has returned.
public final class ProgressDisplay: Sendable {
    /// Interval between two drawings of a terminal's line, in seconds.
    static let terminalInterval = 0.25
    /// Interval between two lines elsewhere, in seconds.
    static let logInterval = 2.0
    /// Interval between two progress reports of the service, in seconds.
    static let reportInterval = 0.2
    /// A body that takes less time than this, in seconds, gets no line.
    static let delay = 0.4
    /// Interval between two attempts to find a service that has gone away, in seconds.
    static let lookInterval = 0.2

    private struct Screen {
        var isStopped = false
        var isDirty = false
        var meter: ProgressMeter
    }

    private let output: Int32
    private let environment: [String: String]
    private let wake: EventSignal
    private let screen: Mutex<Screen>
    private let start = ContinuousClock.now

    /// Creates a display. It shows nothing yet.
    ///
    /// - Parameters:
    ///   - output: a descriptor, usually 2, that stays the caller's.
    ///   - environment: determines whether the terminal shows Unicode.
    /// - Throws: `.local`.
    public init(on output: Int32, environment: [String: String]) throws(SluiceError) {
        self.output = output
        self.environment = environment
        screen = Mutex(Screen(meter: ProgressMeter(at: 0)))
        do {
            wake = try EventSignal()
        } catch {
            throw SluiceError(.local, "progress cannot be shown: \(error)")
        }
    }

    /// Starts to show a job.
    ///
    /// - Parameters:
    ///   - id: the job.
    ///   - path: where the service listens. The display makes a connection of its own.
    public func start(_ id: String, serviceAt path: String) throws(SluiceError) {
        try WorkerThread.start { [self] in show(id, path) }
    }

    /// Ends the display and clears the line. Any thread may call it, also twice.
    public func stop() {
        screen.withLock { screen in
            if screen.isDirty, Terminal(output, environment: environment) != nil { put("\r\u{1B}[K") }
            screen.isDirty = false
            screen.isStopped = true
        }
        wake.raise()
    }

    /// The line for the end of a complete body.
    public func summary(of job: Job) -> String {
        let now = seconds
        return screen.withLock { $0.meter.summary(of: job, at: now) }
    }

    private func show(_ id: String, _ path: String) {
        var nextDraw = Self.delay
        var watch: JobWatch?
        while screen.withLock({ !$0.isStopped }) {
            do {
                let current =
                    try watch ?? SluiceConnection(connectedTo: path).watch(id, interval: Self.reportInterval)
                watch = current
                try take(from: current)
                if current.hasEnded { return }
            } catch let error as SluiceError where error.mayPass && (error.kind != .busy || error.isStopping)
            {
                watch = nil
                screen.withLock { $0.meter.loseService() }
            } catch {
                return
            }
            if seconds >= nextDraw { nextDraw = seconds + draw() }
            let pause = watch == nil ? Self.lookInterval : max(0.01, nextDraw - seconds)
            var entries = [
                pollfd(fd: watch?.rawDescriptor ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
            ]
            poll(&entries, 2, Int32(clamping: Int(pause * 1000)))
        }
    }

    private func take(from watch: JobWatch) throws(SluiceError) {
        while let job = try watch.nextIfAvailable() {
            let now = seconds
            screen.withLock { $0.meter.update(job, at: now, nowUsec: Realtime.microseconds()) }
        }
    }

    /// - Returns: the time until the next line.
    private func draw() -> Double {
        let now = seconds
        return screen.withLock { screen in
            guard !screen.isStopped else { return Self.logInterval }
            guard let terminal = Terminal(output, environment: environment) else {
                put(screen.meter.line(at: now, on: Terminal(width: 121, isUnicode: false)) + "\n")
                return Self.logInterval
            }
            put("\r" + screen.meter.line(at: now, on: terminal) + "\u{1B}[K")
            screen.isDirty = true
            return Self.terminalInterval
        }
    }

    private var seconds: Double { start.duration(to: .now).asSeconds }

    private func put(_ text: String) {
        // A display that cannot write must not make the program fail.
        _ = text.utf8.withContiguousStorageIfAvailable { write(output, $0.baseAddress, $0.count) }
    }
}
