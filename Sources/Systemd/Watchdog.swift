internal import CSystemd

/// What the service manager's watchdog asks of us (`sd_watchdog_enabled(3)`).
public enum Watchdog {
    /// The longest time between two `Notifier.watchdog()`, after which the manager kills the service; nil where no
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
