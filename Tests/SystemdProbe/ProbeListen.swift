internal import Glibc
internal import Systemd
internal import UnixSockets

/// Says what was passed to it.
enum ProbeListen {
    static func run() {
        do {
            var passed = try ListenDescriptors.take()
            print("count: \(passed.count)")
            while let one = passed.takeFirst() {
                let number = one.descriptor.rawValue
                let isClosedOnExec = fcntl(number, F_GETFD) & FD_CLOEXEC != 0
                let isNonblocking = fcntl(number, F_GETFL) & O_NONBLOCK != 0
                print("\(number) \(one.name) cloexec: \(isClosedOnExec) nonblocking: \(isNonblocking)")
            }
            print("left in the environment: \(getenv("LISTEN_FDS") != nil)")
            print("again: \(try ListenDescriptors.take().count)")
        } catch {
            print("error: \(error)")
        }
    }
}
