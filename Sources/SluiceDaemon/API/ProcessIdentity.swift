internal import Glibc

/// The identity of the daemon's process.
enum ProcessIdentity {
    /// The daemon's process ID.
    static var current: Int32 { getpid() }
}
