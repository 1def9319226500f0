internal import CSystemd

/// What the service manager's watchdog requires of this process (`sd_watchdog_enabled(3)`).
public enum Watchdog {
    /// Maximum time between two calls of `Notifier.watchdog()`; after it the manager kills the service. Nil where no
    /// watchdog is on, or where it watches another process than this one (WATCHDOG_PID).
    public static var interval: Duration? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }

    /// How often to send `Notifier.watchdog()`: half of `interval`, as the man page recommends.
    public static var pingInterval: Duration? {
        interval.map { $0 / 2 }
    }
}
