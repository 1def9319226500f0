import SluiceCore
import Testing

@Suite("Histograms") struct HistogramTests {
    @Test("a time is counted in the first bucket whose bound it does not exceed")
    func countsInFirstFittingBucket() {
        var histogram = Histogram(bounds: [0.1, 1, 10])
        for seconds in [0.0, 0.1, 0.100001, 1, 5, 10, 10.1, 1e9] { histogram.record(seconds) }
        #expect(histogram.cumulative.map(\.count) == [2, 4, 6])
        #expect(histogram.cumulative.map(\.bound) == [0.1, 1, 10])
        #expect(histogram.count == 8)
        #expect(histogram.sum > 1e9 && histogram.sum < 1e9 + 27)
    }

    @Test("bounds are sorted, and invalid or repeated ones are left out")
    func sortsAndFiltersBounds() {
        #expect(Histogram(bounds: [2, 1, .nan, 0, -1, .infinity, 2]).bounds == [1, 2])
        var none = Histogram(bounds: [])
        none.record(3)
        #expect(none.count == 1 && none.sum == 3 && none.cumulative.isEmpty)
    }

    @Test("a time that is not finite is not counted, and a negative one counts as 0")
    func ignoresInvalidTimes() {
        var histogram = Histogram(bounds: [1])
        for seconds in [Double.nan, .infinity, -.infinity] { histogram.record(seconds) }
        #expect(histogram.count == 0 && histogram.sum == 0)
        histogram.record(-5)
        #expect(histogram.count == 1 && histogram.sum == 0 && histogram.cumulative[0].count == 1)
    }

    @Test("the bounds of the service's histograms reach from at most 1 ms to at least 60 s")
    func boundsSpanUsefulTimes() {
        for histogram in [Histogram.queueWait, .firstByte] {
            #expect(histogram.bounds == histogram.bounds.sorted() && histogram.bounds.count < 16)
            #expect((histogram.bounds.first ?? 1) <= 0.001 && (histogram.bounds.last ?? 0) >= 60)
        }
    }

    @Test("differences between clock times are in seconds and never negative")
    func clockDifferencesAreNeverNegative() {
        #expect(Nanoseconds.seconds(from: 1_000_000_000, to: 2_500_000_000) == 1.5)
        #expect(Nanoseconds.seconds(from: 2, to: 1) == 0)
        #expect(Nanoseconds.seconds(from: 0, to: .max) > 1e10)
    }
}
