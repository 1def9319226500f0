import SluiceClient
import SluiceInterface
import TestKit
import Testing

@Suite("The text of metrics") struct MetricsTextTests {
    private static let histogram = Ingest.MetricHistogram(
        count: 5, sum: 2.25, buckets: [.init(upperBound: 0.1, count: 2), .init(upperBound: 1, count: 4)])
    private static let metrics = [
        Ingest.Metric(
            "sluice_build", .info, help: "The service.", samples: [.init(1, labels: ["version": "1.2"])]),
        Ingest.Metric(
            "sluice_jobs", .gauge, help: "Jobs.",
            samples: [.init(3, labels: ["state": "queued"]), .init(0, labels: ["state": "parked"])]),
        Ingest.Metric(
            "sluice_delivered_bytes", .counter, unit: "bytes", help: "Say \"a\\b\".", samples: [.init(1e15)]),
        Ingest.Metric(
            "sluice_wait_seconds", .histogram, unit: "seconds", help: "Waits.",
            samples: [.init(histogram)]),
    ]

    @Test("OpenMetrics has types, units, suffixes, canonical bounds and an end marker")
    func rendersOpenMetrics() throws {
        #expect(
            try MetricsText.render(Self.metrics, as: .openmetrics) == #"""
                # TYPE sluice_build info
                # HELP sluice_build The service.
                sluice_build_info{version="1.2"} 1
                # TYPE sluice_jobs gauge
                # HELP sluice_jobs Jobs.
                sluice_jobs{state="queued"} 3
                sluice_jobs{state="parked"} 0
                # TYPE sluice_delivered_bytes counter
                # UNIT sluice_delivered_bytes bytes
                # HELP sluice_delivered_bytes Say \"a\\b\".
                sluice_delivered_bytes_total 1000000000000000
                # TYPE sluice_wait_seconds histogram
                # UNIT sluice_wait_seconds seconds
                # HELP sluice_wait_seconds Waits.
                sluice_wait_seconds_bucket{le="0.1"} 2
                sluice_wait_seconds_bucket{le="1.0"} 4
                sluice_wait_seconds_bucket{le="+Inf"} 5
                sluice_wait_seconds_sum 2.25
                sluice_wait_seconds_count 5
                # EOF

                """#)
    }

    @Test("Prometheus has counters with their suffix, no units and no end marker")
    func rendersPrometheusFormat() throws {
        #expect(
            try MetricsText.render(Self.metrics, as: .prometheus) == #"""
                # TYPE sluice_build_info gauge
                # HELP sluice_build_info The service.
                sluice_build_info{version="1.2"} 1
                # TYPE sluice_jobs gauge
                # HELP sluice_jobs Jobs.
                sluice_jobs{state="queued"} 3
                sluice_jobs{state="parked"} 0
                # TYPE sluice_delivered_bytes_total counter
                # HELP sluice_delivered_bytes_total Say "a\\b".
                sluice_delivered_bytes_total 1000000000000000
                # TYPE sluice_wait_seconds histogram
                # HELP sluice_wait_seconds Waits.
                sluice_wait_seconds_bucket{le="0.1"} 2
                sluice_wait_seconds_bucket{le="1"} 4
                sluice_wait_seconds_bucket{le="+Inf"} 5
                sluice_wait_seconds_sum 2.25
                sluice_wait_seconds_count 5

                """#)
    }

    @Test("a label's value cannot end its line or its quotes")
    func escapesHostileLabels() throws {
        let metric = Ingest.Metric(
            "a", .gauge, help: "x\ny", samples: [.init(1, labels: ["l": "\"} 2\nb 3\\"])])
        #expect(
            try MetricsText.render([metric], as: .prometheus)
                == "# TYPE a gauge\n# HELP a x\\ny\na{l=\"\\\"} 2\\nb 3\\\\\"} 1\n")
    }

    private static let notMetrics: [Ingest.Metric] = [
        .init("", .gauge, help: "", samples: [.init(1)]),
        .init("9a", .gauge, help: "", samples: [.init(1)]),
        .init("a b", .gauge, help: "", samples: [.init(1)]),
        .init("a\n", .gauge, help: "", samples: [.init(1)]),
        .init("ä", .gauge, help: "", samples: [.init(1)]),
        .init("none", .gauge, help: "", samples: []),
        .init("unit", .gauge, unit: "bytes", help: "", samples: [.init(1)]),
        .init("a", .counter, help: "", samples: [.init(-1)]),
        .init("a", .info, help: "", samples: [.init(2)]),
        .init("a", .gauge, help: "", samples: [.init(histogram)]),
        .init("a", .histogram, help: "", samples: [.init(1)]),
        .init("a", .gauge, help: "", samples: [.init(1, labels: ["le": "1"])]),
        .init("a", .gauge, help: "", samples: [.init(1, labels: ["b c": "1"])]),
        .init(
            "a", .histogram, help: "",
            samples: [.init(.init(count: 1, sum: 1, buckets: [.init(upperBound: 1, count: 2)]))]),
        .init(
            "a", .histogram, help: "",
            samples: [
                .init(
                    .init(
                        count: 2, sum: 1,
                        buckets: [.init(upperBound: 2, count: 1), .init(upperBound: 1, count: 1)]))
            ]),
    ]

    @Test("an invalid metric is an error, not a line that breaks a collector", arguments: notMetrics)
    func refusesInvalidMetrics(metric: Ingest.Metric) {
        #expect(throws: SluiceError.self) { try MetricsText.render([metric], as: .openmetrics) }
    }

    @Test("a metric family that appears twice is an error")
    func refusesDuplicateFamily() {
        let metric = Ingest.Metric("a", .gauge, help: "", samples: [.init(1)])
        #expect(throws: SluiceError.self) { try MetricsText.render([metric, metric], as: .openmetrics) }
    }
}
