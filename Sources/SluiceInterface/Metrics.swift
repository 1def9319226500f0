extension Ingest {
    /// What a metric's numbers mean, in OpenMetrics' words.
    public enum MetricKind: String, Codable, Sendable, CaseIterable {
        /// Only grows, from the service's start on.
        case counter
        /// What is now.
        case gauge
        /// How many of something took how long.
        case histogram
        /// Says something in its labels; the number is 1.
        case info
    }

    /// A number of the service, or several that differ in their labels.
    public struct Metric: Codable, Sendable, Equatable {
        /// As OpenMetrics names a family: without `_total`, ending in the unit where there is one.
        public var name: String
        /// What its numbers mean.
        public var kind: MetricKind
        /// `bytes` or `seconds`; nil where things are counted.
        public var unit: String?
        /// One sentence for people.
        public var help: String
        /// At least one.
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
        /// What tells it from its siblings.
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

    /// How many took how long.
    public struct MetricHistogram: Codable, Sendable, Equatable {
        /// All that were measured.
        public var count: Int
        /// All of them together, in the metric's unit.
        public var sum: Double
        /// By size, the smallest bound first; what is above the last one is in `count` alone.
        public var buckets: [MetricBucket]

        /// A histogram.
        public init(count: Int, sum: Double, buckets: [MetricBucket]) {
            self.count = count
            self.sum = sum
            self.buckets = buckets
        }
    }

    /// How many were no larger than a bound.
    public struct MetricBucket: Codable, Sendable, Equatable {
        /// The bound, in the metric's unit.
        public var upperBound: Double
        /// How many were at most this, those of the buckets before included.
        public var count: Int

        /// A bucket.
        public init(upperBound: Double, count: Int) {
            self.upperBound = upperBound
            self.count = count
        }
    }

    /// The reply to `Metrics`.
    public struct MetricsReply: Codable, Sendable, Equatable {
        /// In the order in which they are to be read.
        public var metrics: [Metric]

        /// A reply.
        public init(metrics: [Metric]) {
            self.metrics = metrics
        }
    }
}
