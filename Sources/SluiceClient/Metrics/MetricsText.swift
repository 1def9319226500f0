public import SluiceInterface

/// The text format of metrics.
public enum MetricsFormat: String, Sendable, CaseIterable {
    /// The OpenMetrics text format, version 1.0.0, with types, units and `# EOF`. Prometheus itself asks for it.
    case openmetrics
    /// Prometheus' own text format, version 0.0.4. The node exporter's textfile collector and `promtool check
    /// metrics` read it. It has no units, and the names of counters end in `_total`.
    case prometheus
}

/// The service's metrics as text for programs that collect them. Pure.
public enum MetricsText {
    /// The whole text, with the newline at its end.
    ///
    /// - Throws: `.serviceTrouble` for an invalid metric: no text is written that a collector could not parse.
    public static func render(
        _ metrics: [Ingest.Metric], as format: MetricsFormat
    ) throws(SluiceError) -> String {
        var text = ""
        var names: Set<String> = []
        for metric in metrics {
            guard isName(metric.name), names.insert(metric.name).inserted, !metric.samples.isEmpty else {
                throw notMetrics(metric.name)
            }
            // OpenMetrics requires it, and Prometheus loses a unit that is not in the name.
            if let unit = metric.unit, !metric.name.hasSuffix("_\(unit)") { throw notMetrics(metric.name) }
            text += heading(of: metric, format)
            for sample in metric.samples { text += try lines(of: sample, metric, format) }
        }
        return format == .openmetrics ? text + "# EOF\n" : text
    }

    private static func notMetrics(_ name: String) -> SluiceError {
        SluiceError(
            .serviceTrouble, "what the service calls “\(Terminal.printable(name))” is no metric",
            remedy: "check whether both are of one version")
    }

    private static func heading(of metric: Ingest.Metric, _ format: MetricsFormat) -> String {
        let name: String
        var type = metric.kind.rawValue
        switch (format, metric.kind) {
        case (.prometheus, .counter): name = "\(metric.name)_total"
        case (.prometheus, .info):
            name = "\(metric.name)_info"
            type = Ingest.MetricKind.gauge.rawValue
        case (.openmetrics, _), (.prometheus, _): name = metric.name
        }
        var text = "# TYPE \(name) \(type)\n"
        if format == .openmetrics, let unit = metric.unit { text += "# UNIT \(name) \(unit)\n" }
        return text + "# HELP \(name) \(escaped(metric.help, quotes: format == .openmetrics))\n"
    }

    private static func lines(
        of sample: Ingest.MetricSample, _ metric: Ingest.Metric, _ format: MetricsFormat
    ) throws(SluiceError) -> String {
        let labels = sample.labels.sorted { $0.key < $1.key }
        guard labels.allSatisfy({ isName($0.key) && !$0.key.contains(":") && $0.key != "le" }) else {
            throw notMetrics(metric.name)
        }
        func line(_ suffix: String, _ value: String, _ more: [(key: String, value: String)] = []) -> String {
            let all = (labels + more).map { "\($0.key)=\"\(escaped($0.value, quotes: true))\"" }
            let braces = all.isEmpty ? "" : "{\(all.joined(separator: ","))}"
            return "\(metric.name)\(suffix)\(braces) \(value)\n"
        }
        switch (metric.kind, sample.value, sample.histogram) {
        case (.counter, let value?, nil) where value >= 0: return line("_total", number(value))
        case (.gauge, let value?, nil): return line("", number(value))
        case (.info, 1?, nil): return line("_info", "1")
        case (.histogram, nil, let histogram?):
            guard isConsistent(histogram) else { throw notMetrics(metric.name) }
            var text = ""
            for bucket in histogram.buckets {
                text += line("_bucket", "\(bucket.count)", [("le", bound(bucket.upperBound, format))])
            }
            text += line("_bucket", "\(histogram.count)", [("le", "+Inf")])
            return text + line("_sum", number(histogram.sum)) + line("_count", "\(histogram.count)")
        default: throw notMetrics(metric.name)
        }
    }

    private static func isConsistent(_ histogram: Ingest.MetricHistogram) -> Bool {
        var last = (bound: -Double.infinity, count: 0)
        for bucket in histogram.buckets {
            guard bucket.upperBound.isFinite, bucket.upperBound > last.bound, bucket.count >= last.count
            else { return false }
            last = (bucket.upperBound, bucket.count)
        }
        return histogram.count >= last.count && histogram.sum >= 0
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x3A: true
            default: false
            }
        }
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Writes whole numbers without a fraction.
    private static func number(_ value: Double) -> String {
        Int(exactly: value).map { "\($0)" } ?? "\(value)"
    }

    /// The canonical form of a bound in each format, since the bound is a part of a series' identity.
    private static func bound(_ value: Double, _ format: MetricsFormat) -> String {
        format == .openmetrics ? "\(value)" : number(value)
    }
}
