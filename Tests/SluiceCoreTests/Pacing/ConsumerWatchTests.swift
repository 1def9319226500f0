import SluiceCore
import Testing

@Suite("The watch on a consumer")
struct ConsumerWatchTests {
    private let second: UInt64 = 1_000_000_000
    private let mebibyte = 1 << 20

    private func open(_ holdsBytes: Bool = true) -> ConsumerWatch.Gate {
        ConsumerWatch.Gate(holdsBytes: holdsBytes, closedSince: nil)
    }

    private func closed(since time: UInt64) -> ConsumerWatch.Gate {
        ConsumerWatch.Gate(holdsBytes: true, closedSince: time)
    }

    @Test("a consumer that takes 512 KiB within 100 ms is reported as fast, and only once")
    func reportsFastConsumerOnce() {
        var watch = ConsumerWatch(delivered: 1000, holdAfter: 20, at: 0)
        var delivered = 1000
        var told: [Bool] = []
        for (bytes, time) in [(512 << 10, 101), ((512 << 10) - 1, 102), (1, 103), (512 << 10, 104)] {
            delivered += bytes
            told.append(watch.noticesSpeed(having: delivered, at: UInt64(time) * 1_000_000))
        }
        #expect(told == [false, false, true, false] && watch.isFast)
    }

    @Test("a gate that stays closed for the hold time is reported as a hold once, and as released once")
    func reportsHoldAndReleaseOnce() {
        var watch = ConsumerWatch(delivered: 0, holdAfter: 20, at: 0)
        watch.isOffered(having: 0, at: 100 * second)
        let gate = closed(since: 101 * second)
        #expect(watch.millisecondsToHold(gate, from: 110 * second) == 10_001)
        var news = watch.noticesHold(gate, at: 119 * second)
        #expect(!news)
        news = watch.noticesHold(gate, at: 120 * second)
        #expect(news && watch.millisecondsToHold(gate, from: 120 * second) == nil)
        news = watch.noticesHold(gate, at: 121 * second)
        #expect(!news)
        watch.took(having: mebibyte, at: 130 * second)
        news = watch.noticesRelease(open(), at: 130 * second)
        #expect(news)
        news = watch.noticesRelease(open(), at: 131 * second)
        #expect(!news)
    }

    @Test("taking a page now and then does not count as reading, taking 64 KiB does")
    func occasionalPagesAreNotReading() {
        var watch = ConsumerWatch(delivered: 0, holdAfter: 20, at: 0)
        for minute in 1...10 { watch.took(having: minute * 4096, at: UInt64(minute) * 2 * second) }
        #expect(watch.active == 20 * second)
        var news = watch.noticesHold(open(), at: 20 * second)
        #expect(news)
        watch.took(having: 64 << 10, at: 21 * second)
        news = watch.noticesRelease(open(), at: 21 * second)
        #expect(news && watch.millisecondsToHold(open(), from: 21 * second) == 20_001)
    }

    @Test("there is no hold if no bytes wait for the consumer")
    func noHoldWithoutWaitingBytes() {
        var watch = ConsumerWatch(delivered: 0, holdAfter: 1, at: 0)
        let news = watch.noticesHold(open(false), at: 100 * second)
        #expect(!news && watch.millisecondsToHold(open(false), from: 100 * second) == nil)
    }
}
