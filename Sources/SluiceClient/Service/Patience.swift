/// How long a service that has gone away is looked for: it may be restarting.
///
/// The time begins anew once a connection has held for a while, so that every restart of a long job gets all of it,
/// and a service that takes connections only to drop them does not.
public struct Patience {
    /// The time for one restart.
    public static let standard = Duration.seconds(30)
    /// The environment variable that says another one, in seconds.
    public static let variable = "SLUICE_PATIENCE"
    /// Between two looks.
    static let interval = Duration.milliseconds(100)
    /// What held for so long was a service that runs.
    static let settled = Duration.seconds(5)

    private let duration: Duration
    private let pause: (Duration) -> Void
    private var end: ContinuousClock.Instant?
    private var lastLook: ContinuousClock.Instant?

    /// The time that the environment says, or the standard one.
    ///
    /// - Throws: `.local` for a value that is no number of seconds from 0 to a day.
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

    /// Lets time pass before the next look, but for the first.
    ///
    /// - Returns: false where the time is up.
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
    /// Connects to a service that has gone away, once it is back.
    ///
    /// - Parameters:
    ///   - patience: how long to look for it.
    ///   - pause: lets time pass between two looks.
    /// - Throws: what the last look said.
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
