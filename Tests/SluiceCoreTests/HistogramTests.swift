import SluiceCore
import Testing

@Suite("Histograms") struct HistogramTests {
    @Test("a time is counted in the first bucket that it fits into, its bound included")
    func buckets() {
        var histogram = Histogram(bounds: [0.1, 1, 10])
        for seconds in [0.0, 0.1, 0.100001, 1, 5, 10, 10.1, 1e9] { histogram.record(seconds) }
        #expect(histogram.cumulative.map(\.count) == [2, 4, 6])
        #expect(histogram.cumulative.map(\.bound) == [0.1, 1, 10])
        #expect(histogram.count == 8)
        #expect(histogram.sum > 1e9 && histogram.sum < 1e9 + 27)
    }

    @Test("bounds are sorted, and those that make no sense are left out")
    func bounds() {
        #expect(Histogram(bounds: [2, 1, .nan, 0, -1, .infinity, 2]).bounds == [1, 2])
        var none = Histogram(bounds: [])
        none.record(3)
        #expect(none.count == 1 && none.sum == 3 && none.cumulative.isEmpty)
    }

    @Test("what is no time is not counted, and none is negative")
    func nonsense() {
        var histogram = Histogram(bounds: [1])
        for seconds in [Double.nan, .infinity, -.infinity] { histogram.record(seconds) }
        #expect(histogram.count == 0 && histogram.sum == 0)
        histogram.record(-5)
        #expect(histogram.count == 1 && histogram.sum == 0 && histogram.cumulative[0].count == 1)
    }

    @Test("the service's histograms reach from an idle machine to a hopeless one")
    func used() {
        for histogram in [Histogram.queueWait, .firstByte] {
            #expect(histogram.bounds == histogram.bounds.sorted() && histogram.bounds.count < 16)
            #expect((histogram.bounds.first ?? 1) <= 0.001 && (histogram.bounds.last ?? 0) >= 60)
        }
    }

    @Test("the clock's differences are in seconds and never negative")
    func clock() {
        #expect(Monotonic.seconds(from: 1_000_000_000, to: 2_500_000_000) == 1.5)
        #expect(Monotonic.seconds(from: 2, to: 1) == 0)
        #expect(Monotonic.seconds(from: 0, to: .max) > 1e10)
    }
}
