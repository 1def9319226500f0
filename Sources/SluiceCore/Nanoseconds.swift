/// Conversions between seconds, in which people state times, and the nanoseconds of the clocks.
public enum Nanoseconds {
    /// 0 for less than nothing, and at most about 31 years, so that a sum with a moment of a clock does not overflow.
    static func of(seconds: Double) -> UInt64 {
        UInt64(min(max(0, seconds), 1e9) * 1e9)
    }

    static func seconds(_ nanoseconds: UInt64) -> Double {
        Double(nanoseconds) / 1e9
    }

    /// The time between two moments of a clock that counts nanoseconds, in seconds; 0 if the second is not after the
    /// first.
    public static func seconds(from start: UInt64, to end: UInt64) -> Double {
        end > start ? seconds(end - start) : 0
    }
}
