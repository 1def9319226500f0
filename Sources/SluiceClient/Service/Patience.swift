/// How long to look for a service that has gone away, since it may be restarting.
///
/// The time begins anew once a connection has lasted for a while. Every restart during a long job therefore gets the
/// full time, while a service that accepts connections only to drop them does not.
public struct Patience {
    /// The time allowed for one restart.
    public static let standard = Duration.seconds(30)
    /// The environment variable that sets another time, in seconds.
    public static let variable = "SLUICE_PATIENCE"
    /// The interval between two attempts.
    static let interval = Duration.milliseconds(100)
    /// A connection that has lasted this long shows that the service runs.
    static let settled = Duration.seconds(5)

    private let duration: Duration
    private let pause: (Duration) -> Void
    private var end: ContinuousClock.Instant?
    private var lastLook: ContinuousClock.Instant?

    /// The time from the environment, or the standard time.
    ///
    /// - Throws: `.local` for a value that is not a number of seconds from 0 to a day.
    public static func duration(_ environment: [String: String]) throws(SluiceError) -> Duration {
        guard let text = environment[variable], !text.isEmpty else { return standard }
        guard let seconds = Double(text), (0...86_400).contains(seconds) else {
            throw SluiceError(
                .local, "\(variable) is “\(text)”, which is no number of seconds from 0 to 86400",
                remedy: "correct it, or leave it out")
        }
        return .seconds(seconds)
    }

    init(_ duration: Duration, pause: @escaping (Duration) -> Void) {
        self.duration = duration
        self.pause = pause
    }

    /// Waits before the next attempt; the first attempt needs no wait.
    ///
    /// - Returns: false where the time has passed.
    mutating func lasts() -> Bool {
        let now = ContinuousClock.now
        let isFirst = lastLook.map { $0.duration(to: now) >= Self.settled } ?? true
        if isFirst { end = now + duration }
        guard let end, now < end else { return false }
        if !isFirst { pause(Self.interval) }
        lastLook = .now
        return true
    }
}

extension SluiceConnection {
    /// Connects to a service that has gone away, as soon as it is back.
    ///
    /// - Parameters:
    ///   - patience: how long to look for it.
    ///   - pause: waits between two attempts.
    /// - Throws: the error of the last attempt.
    public static func reconnected(
        to path: String, patience: Duration = Patience.standard,
        pause: @escaping (Duration) -> Void = sleepWhole
    ) throws(SluiceError) -> SluiceConnection {
        var failure = SluiceError(.noService, "the service at \(path) has gone away")
        var patience = Patience(patience, pause: pause)
        while patience.lasts() {
            do {
                return try SluiceConnection(connectedTo: path)
            } catch {
                failure = error
                guard error.mayPass else { break }
            }
        }
        throw failure
    }
}
