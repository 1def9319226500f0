internal import Glibc
internal import Synchronization
public import Testing

/// Judges something measured by a bound that holds on a calm machine: a duration, a rate, a ratio of two.
///
/// A bound that is kept is kept, however busy the machine was. One that is not says something about what was measured
/// only where the machine had processors to spare meanwhile. So the machine is looked at then: how long a known piece of
/// work takes (`Busyness`), and for how long tasks had to wait for a processor in the meantime. On a calm machine the
/// test fails. On a busy one it says "too busy to judge", waits for calm for a while, and measures again; where it could
/// never be judged it does not fail, but says so in a warning, which the run repeats at its end.
///
/// Prefer what does not depend on the machine: `ProcessorTime` for what something costs, an event for an order of things.
///
/// - Parameters:
///   - what: what is measured, for messages.
///   - attempts: how often it is measured at most.
///   - measure: measures, from the beginning; may be called `attempts` times.
///   - isKept: the bound.
/// - Returns: what was measured last.
/// - Throws: `TestFailure` where the bound was broken on a calm machine; what `measure` throws.
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

/// Judges how long something takes that can be done again.
///
/// - Parameters:
///   - bound: on a calm machine.
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

/// How long something takes.
public func elapsed(_ body: () throws -> Void) throws -> Duration {
    let start = ContinuousClock.now
    try body()
    return start.duration(to: .now)
}

/// How busy the machine is, and was while something was measured.
private struct MachineState: CustomStringConvertible {
    let factor: Double
    let pressure: Double?

    init(_ pressure: ProcessorPressure) {
        self.pressure = pressure.sinceThen
        factor = Busyness.measured()
    }

    /// Our own tasks wait for each other, too: a third of the time is more than they do on a calm machine of two
    /// processors.
    var isTooBusy: Bool { factor >= Busyness.tooBusyToJudge || (pressure ?? 0) >= 1.0 / 3 }

    var description: String {
        let waited = pressure.map { ", tasks waited for a processor \(Int($0 * 100)) % of the time" } ?? ""
        return "\((factor * 10).rounded() / 10) times as slow as a calm machine\(waited)"
    }
}

private enum Calm {
    /// What one judgement may wait, and all of a process: a machine that never calms must not hold the run up.
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

/// What could not be judged.
private enum Unjudged {
    /// Says it in the test's own words, and in the file that the run shows at its end.
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
