internal import SluiceInterface

/// Durations as users read them.
public enum Elapsed {
    /// A duration as on a clock: `0:07`, `12:05`, `1:02:03`.
    public static func clock(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
        let whole = Int(seconds)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let minutes = whole / 60
        if minutes < 60 { return "\(minutes):\(two(whole % 60))" }
        return "\(minutes / 60):\(two(minutes % 60)):\(two(whole % 60))"
    }

    /// A duration with its unit: `12 ms`, `3.2 s`, `45 s`, `12 min`, `3 h`, `2 d`.
    public static func brief(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
        if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
        if seconds < 9.95 {
            let tenths = Int((seconds * 10).rounded())
            return "\(tenths / 10).\(tenths % 10) s"
        }
        if seconds < 100 { return "\(Int(seconds.rounded())) s" }
        if seconds < 6000 { return "\(Int(seconds / 60)) min" }
        if seconds < 172_800 { return "\(Int(seconds / 3600)) h" }
        return "\(Int(seconds / 86_400)) d"
    }

    /// The rest of a pause, rounded up to whole seconds: `3 s`, `12 min`.
    public static func countdown(_ seconds: Double) -> String {
        guard seconds < 100 else { return brief(seconds) }
        return seconds.isFinite && seconds > 0 ? "\(Int(seconds.rounded(.up))) s" : "0 s"
    }

    /// Bytes per second: `85 MB/s`; nil where no time has passed.
    public static func rate(bytes: Int, seconds: Double) -> String? {
        guard bytes >= 0, seconds > 0, let whole = Int(exactly: (Double(bytes) / seconds).rounded()) else {
            return nil
        }
        return ByteSize.describe(whole) + "/s"
    }
}
