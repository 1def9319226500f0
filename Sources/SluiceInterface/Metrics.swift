extension Ingest {
    /// The type of a metric, as OpenMetrics defines it.
    public enum MetricKind: String, Codable, Sendable, CaseIterable {
        /// A number that only grows from the start of the service.
        case counter
        /// A present value.
        case gauge
        /// The distribution of durations.
        case histogram
        /// Information in the labels; the number is 1.
        case info
    }

    /// One number of the service, or several numbers that differ in their labels.
    public struct Metric: Codable, Sendable, Equatable {
        /// The name of the family in OpenMetrics: without `_total`, with the unit at the end where there is one.
        public var name: String
        /// The type of the metric.
        public var kind: MetricKind
        /// `bytes` or `seconds`; nil for a count.
        public var unit: String?
        /// One sentence for users.
        public var help: String
        /// The numbers; at least one.
        public var samples: [MetricSample]

        /// A metric.
        public init(
            _ name: String, _ kind: MetricKind, unit: String? = nil, help: String, samples: [MetricSample]
        ) {
            self.name = name
            self.kind = kind
            self.unit = unit
            self.help = help
            self.samples = samples
        }
    }

    /// One number of a metric, or one histogram.
    public struct MetricSample: Codable, Sendable, Equatable {
        /// The labels that distinguish it from the other samples of the metric.
        public var labels: [String: String]
        /// The number; nil for a histogram.
        public var value: Double?
        /// The histogram; nil for everything else.
        public var histogram: MetricHistogram?

        /// A number.
        public init(_ value: Double, labels: [String: String] = [:]) {
            self.labels = labels
            self.value = value
        }

        /// A histogram.
        public init(_ histogram: MetricHistogram, labels: [String: String] = [:]) {
            self.labels = labels
            self.histogram = histogram
        }
    }

    /// The distribution of measured values.
    public struct MetricHistogram: Codable, Sendable, Equatable {
        /// The number of measured values.
        public var count: Int
        /// The sum of the measured values, in the metric's unit.
        public var sum: Double
        /// The buckets, the smallest bound first. Values above the last bound are only in `count` and `sum`.
        public var buckets: [MetricBucket]

        /// A histogram.
        public init(count: Int, sum: Double, buckets: [MetricBucket]) {
            self.count = count
            self.sum = sum
            self.buckets = buckets
        }
    }

    /// The number of values up to a bound.
    public struct MetricBucket: Codable, Sendable, Equatable {
        /// The bound, in the metric's unit.
        public var upperBound: Double
        /// The number of values up to the bound, including those in smaller buckets.
        public var count: Int

        /// A bucket.
        public init(upperBound: Double, count: Int) {
            self.upperBound = upperBound
            self.count = count
        }
    }

    /// The reply to `Metrics`.
    public struct MetricsReply: Codable, Sendable, Equatable {
        /// The metrics, in the order in which to show them.
        public var metrics: [Metric]

        /// A reply.
        public init(metrics: [Metric]) {
            self.metrics = metrics
        }
    }
}
