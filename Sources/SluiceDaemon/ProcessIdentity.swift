internal import Glibc

/// Who we are.
enum ProcessIdentity {
    /// Our process id.
    static var current: Int32 { getpid() }
}
