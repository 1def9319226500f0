internal import Glibc
internal import SluiceInterface
internal import Synchronization
internal import Unix

/// Asks the service at intervals in a thread of its own, so that the thread that shows the answers never waits for
/// one.
///
/// Where the service goes away, the sampler looks for it until `stop`.
///
/// ## Concurrency model
/// The thread that the sampler starts owns the connection. Other threads use only the two signals, and a lock that
/// guards the latest event and the delay.
public final class TopSampler: Sendable {
    /// What happened since the last call of `take`.
    public enum Event: Sendable {
        /// The service answered.
        case sample(TopSample)
        /// The service did not answer. The value is one line.
        case lost(String)
    }

    /// Interval between two attempts to find a service that has gone away, in seconds.
    private static let lookInterval = 0.5
    /// The second sample follows soon, since rates need two samples.
    static let firstDelay = 0.4

    private struct State {
        var event: Event?
        var delay: Double
        var isStopped = false
    }

    private let path: String
    private let state: Mutex<State>
    private let news: EventSignal
    private let wake: EventSignal

    /// Creates a sampler. It asks nothing yet.
    ///
    /// - Parameters:
    ///   - path: where the service listens.
    ///   - delay: the interval between two samples, in seconds.
    /// - Throws: `.local`.
    public init(serviceAt path: String, delay: Double) throws(SluiceError) {
        self.path = path
        state = Mutex(State(delay: delay))
        do {
            news = try EventSignal()
            wake = try EventSignal()
        } catch {
            throw SluiceError(.local, "there are no descriptors left: \(error)")
        }
    }

    /// Readable while there is an event to take.
    public var rawDescriptor: CInt { news.descriptor.rawValue }

    /// Starts to ask.
    public func start() throws(SluiceError) {
        try WorkerThread.start { [self] in run() }
    }

    /// The latest event. Each event is returned once.
    public func take() -> Event? {
        news.lower()
        return state.withLock { state in
            defer { state.event = nil }
            return state.event
        }
    }

    /// Changes the delay from now on.
    public func setDelay(_ delay: Double) {
        state.withLock { $0.delay = delay }
        wake.raise()
    }

    /// Stops asking. Does not wait for a question that is in progress.
    public func stop() {
        state.withLock { $0.isStopped = true }
        wake.raise()
    }

    private func run() {
        var connection: SluiceConnection?
        var samples = 0
        while state.withLock({ !$0.isStopped }) {
            let began = TopClock.seconds
            do throws(SluiceError) {
                let current: SluiceConnection
                if let connection {
                    current = connection
                } else {
                    current = try SluiceConnection(connectedTo: path)
                }
                connection = current
                tell(.sample(try TopSample.take(from: current)))
                samples += 1
            } catch {
                connection = nil
                samples = 0
                tell(.lost(error.isConnectionLost ? "the service has gone away" : error.message))
            }
            wait(since: began, isLost: connection == nil, isFirst: samples == 1)
        }
    }

    private func wait(since began: Double, isLost: Bool, isFirst: Bool) {
        while true {
            let (delay, isStopped) = state.withLock { ($0.delay, $0.isStopped) }
            let pause = isLost ? Self.lookInterval : isFirst ? min(Self.firstDelay, delay) : delay
            let left = began + pause - TopClock.seconds
            guard left > 0, !isStopped else { return }
            var entry = pollfd(fd: wake.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, Int32(clamping: Int((left * 1000).rounded(.up)))) > 0 { wake.lower() }
        }
    }

    private func tell(_ event: Event) {
        state.withLock { $0.event = event }
        news.raise()
    }
}

extension TopSample {
    /// What the service reports now.
    ///
    /// - Throws: `.serviceTrouble`.
    public static func take(from connection: SluiceConnection) throws(SluiceError) -> TopSample {
        let jobs = try connection.list(active: true)
        let status = try connection.status()
        return TopSample(
            jobs: jobs, status: status, seconds: TopClock.seconds, nowUsec: Realtime.microseconds())
    }
}

/// The clock of a sample.
public enum TopClock {
    /// The time on a clock that does not jump.
    public static var seconds: Double { Double(Monotonic.nanoseconds()) / 1e9 }
}
