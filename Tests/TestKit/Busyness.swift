internal import CTestKit
internal import Glibc
internal import Synchronization
internal import Unix

/// How busy the machine is: how much longer a known piece of work takes now than on a calm machine.
///
/// The piece is some computing and the start and end of a small program, about 20 ms of work. All waits in the tests
/// take this factor into account (`Deadline`), and code that judges a duration or a ratio asks for it first
/// (`judge`).
///
/// ## Concurrency model
/// One thread measures at a time; the others wait for its result. A separate lock guards the history.
public enum Busyness {
    /// The maximum factor, since every wait must end.
    public static let limit = 20.0
    /// From this factor on a duration says more about the machine than about the measured work.
    static let tooBusyToJudge = 1.6

    /// The duration of the piece on a calm machine, in nanoseconds.
    private static let nominal = 21e6

    private struct Measurement {
        var instant: ContinuousClock.Instant
        var factor: Double
    }

    private static let history = Mutex<[Measurement]>([])
    private static let measuring = Mutex(())

    /// The factor when the first test of the process asked for it.
    public static let atStart: Double = {
        let factor = now()
        print(
            "figure: the machine is \((factor * 10).rounded() / 10) times as slow as a calm one at the start of the tests"
        )
        return factor
    }()

    /// The factor now, from 1 to `limit`. Takes about 20 ms of work where it was not measured within `age`.
    public static func now(age: Duration = .seconds(1)) -> Double {
        measuring.withLock { _ in
            if let last = history.withLock(\.last), last.instant.duration(to: .now) < age {
                return last.factor
            }
            let factor = min(limit, max(1, measured(), loadPerProcessor()))
            history.withLock { history in
                history.append(Measurement(instant: .now, factor: factor))
                if history.count > 1000 { history.removeFirst(500) }
            }
            return factor
        }
    }

    /// The highest factor that was measured at the start of the tests and since an instant.
    static func highest(since instant: ContinuousClock.Instant) -> Double {
        let start = atStart
        return history.withLock { history in
            history.reversed().prefix { $0.instant >= instant }.map(\.factor).max().map { max($0, start) }
                ?? start
        }
    }

    /// The duration of the piece, divided by its duration on a calm machine.
    static func measured() -> Double {
        var nanoseconds: Int64 = 0
        for _ in 0..<3 { nanoseconds += ctestkit_time_computing() + max(0, ctestkit_time_starting()) }
        return Double(nanoseconds) / nominal
    }

    /// The load of the last minute per processor: work that has just ended may have delayed a test, too.
    private static func loadPerProcessor() -> Double {
        var load = 0.0
        guard getloadavg(&load, 1) == 1 else { return 1 }
        return load / Double(max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))))
    }
}

/// How long tasks had to wait for a processor, as the kernel counts it (`/proc/pressure/cpu`).
struct ProcessorPressure {
    private let microseconds: Double?
    private let instant = ContinuousClock.now

    /// Begins to count.
    init() { microseconds = Self.total() }

    /// The part of the time since `init`, from 0 to 1, in which some task waited; nil where the kernel does not
    /// report it.
    var sinceThen: Double? {
        guard let microseconds, let now = Self.total() else { return nil }
        let passed = instant.duration(to: .now).asSeconds * 1e6
        // The kernel updates its number every two seconds, and when it is read.
        return passed > 0 ? min(1, max(0, (now - microseconds) / passed)) : nil
    }

    private static func total() -> Double? {
        guard let text = try? readText("/proc/pressure/cpu"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("some ") }),
            let field = line.split(separator: " ").first(where: { $0.hasPrefix("total=") })
        else { return nil }
        return Double(field.dropFirst("total=".count))
    }
}
