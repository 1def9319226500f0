internal import Glibc
internal import Synchronization
public import Testing

/// Judges a measured value by a bound that holds on a calm machine: a duration, a rate, a ratio of two.
///
/// A value within the bound is accepted, however busy the machine was. A value beyond it says something about what
/// was measured only where the machine had free processors meanwhile. In this case the function examines the machine:
/// how long a known piece of work takes (`Busyness`), and how long tasks have waited for a processor in the meantime.
/// On a calm machine the test fails. On a busy machine the function says "too busy to judge", waits a while for the
/// machine to become calm, and measures again. If it can never judge, the test does not fail, but records a warning,
/// which the run repeats at its end.
///
/// Prefer measures that do not depend on the machine: `ProcessorTime` for a cost, an event for an order of actions.
///
/// - Parameters:
///   - what: what is measured, for messages.
///   - attempts: the maximum number of measurements.
///   - measure: measures, from the beginning; may be called `attempts` times.
///   - isKept: whether a value is within the bound.
/// - Returns: the last measured value.
/// - Throws: `TestFailure` where the bound was broken on a calm machine; any error of `measure`.
@discardableResult
public func judge<Measured>(
    _ what: String, attempts: Int = 3, sourceLocation: SourceLocation = #_sourceLocation,
    measuring measure: () throws -> Measured, by isKept: (Measured) -> Bool
) throws -> Measured {
    var seen: [String] = []
    while true {
        let pressure = ProcessorPressure()
        let measured = try measure()
        if isKept(measured) { return measured }
        let state = MachineState(pressure)
        guard state.isTooBusy else {
            throw TestFailure("\(what): \(measured) (\(state); before that: \(seen))")
        }
        seen.append("\(measured)")
        print("too busy to judge: \(what): \(measured) (\(state)), attempt \(seen.count) of \(attempts)")
        guard seen.count < attempts else {
            Unjudged.record("\(what): \(seen.joined(separator: "; ")) (\(state))", at: sourceLocation)
            return measured
        }
        Calm.wait()
    }
}

/// Judges the duration of something that can be repeated.
///
/// - Parameters:
///   - bound: the maximum duration on a calm machine.
///   - body: returns how long it took.
@discardableResult
public func judge(
    _ what: String, takesLessThan bound: Duration, attempts: Int = 3,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Duration
) throws -> Duration {
    try judge(
        "\(what) takes less than \(bound)", attempts: attempts, sourceLocation: sourceLocation,
        measuring: body
    ) { $0 < bound }
}

/// Measures the duration of `body`.
public func elapsed(_ body: () throws -> Void) throws -> Duration {
    let start = ContinuousClock.now
    try body()
    return start.duration(to: .now)
}

/// How busy the machine is now, and was during a measurement.
private struct MachineState: CustomStringConvertible {
    let factor: Double
    let pressure: Double?

    init(_ pressure: ProcessorPressure) {
        self.pressure = pressure.sinceThen
        factor = Busyness.measured()
    }

    /// Tasks of the test process wait for each other, too: a third of the time is more than they do on a calm machine
    /// with two processors.
    var isTooBusy: Bool { factor >= Busyness.tooBusyToJudge || (pressure ?? 0) >= 1.0 / 3 }

    var description: String {
        let waited = pressure.map { ", tasks waited for a processor \(Int($0 * 100)) % of the time" } ?? ""
        return "\((factor * 10).rounded() / 10) times as slow as a calm machine\(waited)"
    }
}

private enum Calm {
    /// Maximum wait of one judgement, and of all judgements of a process: a machine that never becomes calm must not
    /// delay the run without end.
    private static let longest = Duration.seconds(20)
    private static let left = Mutex(Duration.seconds(120))

    static func wait() {
        let start = ContinuousClock.now
        let most = min(longest, left.withLock { $0 })
        while start.duration(to: .now) < most {
            let pressure = ProcessorPressure()
            letPass(.milliseconds(500))
            if !MachineState(pressure).isTooBusy { break }
        }
        left.withLock { $0 = max(.zero, $0 - start.duration(to: .now)) }
    }
}

/// Values that could not be judged.
private enum Unjudged {
    /// Records it in the test's own messages, and in the file that the run shows at its end.
    static func record(_ what: String, at place: SourceLocation) {
        Issue.record(
            "never judged, the machine was too busy: \(what)", severity: .warning, sourceLocation: place)
        guard let path = getenv("SLUICE_TEST_UNJUDGED") else { return }
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { return }
        defer { close(file) }
        let line = "\(place.fileID):\(place.line): \(what)\n"
        _ = line.withCString { write(file, $0, strlen($0)) }
    }
}
