/// Decides which pipes may be large: an account of the kernel's allowance for pipe buffers (`pipe(7)`,
/// `/proc/sys/fs/pipe-user-pages-soft`).
///
/// Once the allowance is used up, a new pipe of an unprivileged user gets two pages, and a job with such a pipe is
/// slow. A pipe is therefore grown only while enough is left for the ordinary pipes of jobs that may still come.
public struct PipeBudget: Sendable {
    /// The kernel's capacity for a new pipe, in bytes.
    public static let ordinaryCapacity = 64 << 10

    /// The limit for all pipes together, in bytes.
    public var limit: Int
    /// Reserved for the ordinary pipes of future jobs, in bytes.
    public var reserve: Int
    /// Used by the pipes of jobs that have not ended, in bytes.
    public private(set) var used = 0
    /// Used by pipes that consumers of ended jobs keep open, in bytes.
    public var kept = 0

    /// A budget with nothing used.
    public init(limit: Int, reserve: Int) {
        self.limit = limit
        self.reserve = reserve
    }

    /// Counts a pipe that exists, even if the budget is exceeded.
    public mutating func add(_ bytes: Int) {
        used += bytes
    }

    /// Returns the bytes of a pipe to the budget.
    public mutating func remove(_ bytes: Int) {
        precondition(bytes <= used, "more is given back than was taken")
        used -= bytes
    }

    /// Counts a pipe's growth.
    ///
    /// - Returns: whether the pipe may grow.
    public mutating func grow(by bytes: Int) -> Bool {
        guard used + kept + bytes + reserve <= limit else { return false }
        used += bytes
        return true
    }
}
