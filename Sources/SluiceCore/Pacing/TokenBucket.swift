/// Limits a rate: says how long to wait after bytes have come, so that their rate is not exceeded.
///
/// The bucket is kept as the moment at which all bytes that were taken are paid for (the generic cell rate algorithm,
/// ITU-T I.371). It needs no periodic refill and costs nothing while no bytes move. Unused time can be made up for
/// later, up to `credit`.
///
/// A value without I/O: times are in ns of any monotonic clock.
public struct TokenBucket: Sendable, Equatable {
    /// The least rate, in bytes a second.
    public static let leastRate = 1 << 10
    /// The greatest rate, in bytes a second.
    public static let greatestRate = 1 << 40
    /// The unused time that may be made up for, in ns: a busy machine wakes a waiting thread late.
    private static let credit: UInt64 = 100_000_000

    /// The rate in bytes a second; nil for any.
    public private(set) var rate: Int?
    /// When all bytes that were taken are paid for.
    private var paidAt: UInt64

    /// A bucket that owes nothing, and has no credit.
    ///
    /// - Parameters:
    ///   - rate: in bytes a second; nil for any. It is clamped to `leastRate` to `greatestRate`.
    ///   - now: the present moment, in ns.
    public init(rate: Int?, at now: UInt64) {
        self.rate = rate.map(Self.bounded)
        paidAt = now
    }

    /// Bytes have come.
    public mutating func take(_ bytes: Int, at now: UInt64) {
        guard let rate else { return }
        paidAt = max(paidAt, now > Self.credit ? now - Self.credit : 0) + Self.time(for: bytes, at: rate)
    }

    /// How long to wait before more may come, in ns.
    public func wait(at now: UInt64) -> UInt64 {
        rate != nil && paidAt > now ? paidAt - now : 0
    }

    /// Changes the rate. Bytes that are not paid for yet are paid for at the new rate.
    public mutating func setRate(_ new: Int?, at now: UInt64) {
        let owed = wait(at: now)
        let old = rate
        rate = new.map(Self.bounded)
        guard let old, let rate, owed > 0 else {
            paidAt = now
            return
        }
        paidAt = now + UInt64(Double(owed) * (Double(old) / Double(rate)))
    }

    private static func bounded(_ rate: Int) -> Int { min(max(rate, leastRate), greatestRate) }

    private static func time(for bytes: Int, at rate: Int) -> UInt64 {
        UInt64(Double(max(0, bytes)) * 1e9 / Double(rate))
    }
}
