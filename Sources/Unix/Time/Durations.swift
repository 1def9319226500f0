public import Glibc

extension Duration {
    /// Whole milliseconds for `poll(2)` and `epoll_wait(2)`: rounded up, so that no wait ends too early; 0 for less than
    /// nothing; at most the largest number.
    public var wholeMilliseconds: Int32 {
        Int32(clamping: rounded(upTo: 1_000_000_000_000_000, in: 1000))
    }

    /// Whole microseconds: rounded up; 0 for less than nothing; at most the largest number.
    public var wholeMicroseconds: Int64 {
        rounded(upTo: 1_000_000_000_000, in: 1_000_000)
    }

    /// The same in seconds.
    public var asSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// The same for `nanosleep(2)`, without what is less than a nanosecond.
    public var timeSpecification: timespec {
        let (seconds, attoseconds) = components
        return timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    }

    /// - Parameters:
    ///   - unit: in attoseconds.
    ///   - count: the number of units in a second.
    private func rounded(upTo unit: Int64, in count: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let fraction = (attoseconds + unit - 1) / unit
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: count)
        return overflow || whole > .max - fraction ? .max : whole + fraction
    }
}
