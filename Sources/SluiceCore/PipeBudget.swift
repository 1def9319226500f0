/// Who may have a large pipe: the account of the kernel's allowance for pipe buffers (`pipe(7)`,
/// `/proc/sys/fs/pipe-user-pages-soft`).
///
/// Past the allowance a new pipe of an ordinary user gets two pages, and a job with such a pipe crawls. So a pipe is
/// grown only while enough is left for everybody who may still come with an ordinary one.
public struct PipeBudget: Sendable {
    /// The kernel's capacity for a new pipe, in bytes.
    public static let ordinaryCapacity = 64 << 10

    /// For all pipes together, in bytes.
    public var limit: Int
    /// Kept back for ordinary pipes of jobs that are not there yet, in bytes.
    public var reserve: Int
    /// In use by jobs that have not ended, in bytes.
    public private(set) var used = 0
    /// Of pipes that consumers of ended jobs keep, in bytes.
    public var kept = 0

    /// A budget with nothing used.
    public init(limit: Int, reserve: Int) {
        self.limit = limit
        self.reserve = reserve
    }

    /// Accounts for a pipe that exists, whatever the budget says.
    public mutating func add(_ bytes: Int) {
        used += bytes
    }

    /// Gives back what a pipe had.
    public mutating func remove(_ bytes: Int) {
        precondition(bytes <= used, "more is given back than was taken")
        used -= bytes
    }

    /// Accounts for a pipe's growth.
    ///
    /// - Returns: whether it may grow.
    public mutating func grow(by bytes: Int) -> Bool {
        guard used + kept + bytes + reserve <= limit else { return false }
        used += bytes
        return true
    }
}
