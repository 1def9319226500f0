internal import SluiceInterface

/// A line of the live view.
public struct TopLine: Sendable, Equatable {
    /// The style of a line.
    public enum Style: Sendable, Equatable {
        case plain
        /// The table's heading.
        case heading
        /// A problem.
        case warning
        /// The help line about keys.
        case dim
    }

    /// Printable text; each character takes one column.
    public var text: String
    /// Its style.
    public var style: Style
}

/// Makes lines from the model. Pure. No line is longer than the terminal is wide, and there are at most as many lines
/// as the terminal has.
public enum TopLayout {
    /// The live view.
    ///
    /// - Parameters:
    ///   - model: its number of visible rows is set.
    ///   - seconds: now, on the samples' clock.
    public static func screen(
        _ model: inout TopModel, width: Int, height: Int, isUnicode: Bool, at seconds: Double
    ) -> [TopLine] {
        let width = max(1, width)
        var lines: [TopLine]
        if model.showsHelp {
            lines = help(model)
        } else {
            lines = summary(model, width).map { TopLine(text: $0, style: .plain) }
            // A window with few lines shows only the jobs.
            if height < 8 { lines = Array(lines.prefix(1)) }
            if let warning = model.warning(at: seconds) {
                lines.append(TopLine(text: warning, style: .warning))
            }
            let table = TopTable(width: width, isUnicode: isUnicode)
            lines.append(TopLine(text: table.heading, style: .heading))
            let hasKeys = height >= 8
            let room = max(1, height - lines.count - (hasKeys ? 1 : 0))
            model.visibleRows = room
            // The number of rows may have shrunk since the last drawing.
            let start = max(0, min(model.offset, model.rows.count - room))
            let rows = model.rows.dropFirst(start).prefix(room)
            lines += rows.map { TopLine(text: table.line($0), style: .plain) }
            if model.rows.isEmpty, let sample = model.sample {
                lines.append(TopLine(text: idle(sample), style: .dim))
            }
            if hasKeys {
                let blank = TopLine(text: "", style: .plain)
                while lines.count < height - 1 { lines.append(blank) }
                lines.append(TopLine(text: keys(model, start, rows.count, width), style: .dim))
            }
        }
        return lines.prefix(max(1, height)).map { TopLine(text: fit($0.text, width), style: $0.style) }
    }

    /// The same for a log: all jobs and all columns, with nothing cut unless a width is given.
    public static func plain(_ model: TopModel, width: Int? = nil) -> String {
        let table = TopTable(width: width, isUnicode: false)
        let lines = summary(model, width ?? 200) + [table.heading] + model.rows.map(table.line)
        return lines.map { line in width.map { fit(line, $0) } ?? line }.joined(separator: "\n") + "\n"
    }

    // MARK: Parts

    /// Lines about the service, its present work and its totals.
    private static func summary(_ model: TopModel, _ width: Int) -> [String] {
        guard let status = model.sample?.status, let now = model.sample?.nowUsec else {
            return ["asking the service"]
        }
        let jobs = status.jobs
        let lanes = status.lanes
        let states = [
            ("streaming", jobs.streaming), ("stalled", jobs.stalled), ("parked", jobs.parked),
            ("waiting", jobs.waiting), ("connecting", jobs.connecting), ("queued", jobs.queued),
        ]
        var parts = [
            Part("sluiced \(TopModel.plain(status.version))", weight: 50),
            Part("up \(Elapsed.brief(JobTimes.seconds(from: status.startedUsec, to: now)))", weight: 40),
        ]
        parts += states.enumerated().filter { $1.1 > 0 }.map { Part("\($1.1) \($1.0)", weight: 39 - $0) }
        let traffic = [
            Part(TopTable.rate(model.rate), weight: 50),
            Part("\(TopTable.bytes(status.bytesDelivered)) delivered", weight: 40),
            Part("lanes \(lanes.busy) of \(lanes.limit) busy", weight: 30),
            Part("\(lanes.died) died", weight: 25, joins: ", "),
            Part(
                "pipes \(TopTable.bytes(status.pipeBytes)) of \(TopTable.bytes(status.pipeBudget))",
                weight: 20),
            Part("\(status.connections) connections", weight: 10),
        ]
        let ended = [
            Part("ended: \(jobs.complete) complete", weight: 50),
            Part("\(jobs.failed) failed", weight: 45, joins: ", "),
            Part("\(jobs.cancelled) cancelled", weight: 20, joins: ", "),
            Part("\(jobs.retried) retries", weight: 30),
        ]
        return [parts, traffic, ended].map { ProgressMeter.fitted($0, bar: nil, width) }
    }

    private static func idle(_ sample: TopSample) -> String {
        let jobs = sample.status.jobs
        let others =
            jobs.streaming > 0 || jobs.stalled > 0 || jobs.parked > 0 || jobs.waiting > 0
            || jobs.connecting > 0
            || jobs.queued > 0
        return others ? "no jobs of yours" : "no jobs"
    }

    private static func keys(_ model: TopModel, _ start: Int, _ shown: Int, _ width: Int) -> String {
        var parts: [Part] = []
        if model.isPaused { parts.append(Part("PAUSED", weight: 60)) }
        parts.append(Part("by \(model.sort.rawValue)\(model.isReversed ? ", reversed" : "")", weight: 50))
        if shown < model.rows.count {
            parts.append(Part("jobs \(start + 1)-\(start + shown) of \(model.rows.count)", weight: 45))
        }
        parts.append(Part("every \(Elapsed.brief(model.delay))", weight: 10))
        parts.append(Part("q quit", weight: 40))
        parts.append(Part("h help", weight: 35))
        parts.append(Part("p pause", weight: 30))
        let sorts = TopSort.allCases.map { width < 120 ? "\($0.key)" : "\($0.key) \($0.rawValue)" }
        parts.append(Part("sort: \(sorts.joined(separator: width < 120 ? " " : ", "))", weight: 20))
        return ProgressMeter.fitted(parts, bar: nil, width)
    }

    private static func help(_ model: TopModel) -> [TopLine] {
        let keys: [(String, String)] =
            TopSort.allCases.map {
                ("\($0.key)", "sort by \($0.rawValue)\($0 == model.sort ? " (now)" : "")")
            }
            + [
                ("o", "reverse the order"), ("p, space", "pause and continue"),
                ("+, -", "longer, shorter delay (\(Elapsed.brief(model.delay)))"),
                ("j, k, arrows", "move through the jobs"), ("Page, Home, End", "likewise"),
                ("Ctrl-L", "draw the screen again"), ("h, ?", "this help"), ("q, Ctrl-C", "quit"),
            ]
        let lines = keys.map { key, what in
            TopLine(
                text: "  \(key)\(String(repeating: " ", count: max(1, 17 - key.count)))\(what)", style: .plain
            )
        }
        return [TopLine(text: "Keys (any key goes back)", style: .heading)] + lines + [
            TopLine(text: "", style: .plain),
            TopLine(text: "BUFFERED waits in the lane; at HIGH the gate closes and", style: .plain),
            TopLine(text: "the origin waits: STALLED. At the stroke it opens again.", style: .plain),
        ]
    }

    private static func fit(_ text: String, _ width: Int) -> String {
        text.count > width ? String(text.prefix(max(0, width))) : text
    }
}
