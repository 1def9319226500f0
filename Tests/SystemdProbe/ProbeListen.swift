internal import Glibc
internal import Systemd
internal import Unix

/// Reports what was passed to it.
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
            var stored = passed.takeStored()
            for name in stored.names {
                guard var group = stored.take(name) else { continue }
                let kinds = group.kinds.map { "\($0)" }.sorted().joined(separator: " ")
                var isClosedOnExec = true
                for kind in group.kinds {
                    guard let one = group.take(kind) else { continue }
                    isClosedOnExec = isClosedOnExec && fcntl(one.rawValue, F_GETFD) & FD_CLOEXEC != 0
                }
                print("stored \(name): \(kinds) cloexec: \(isClosedOnExec)")
            }
            print("left in the environment: \(getenv("LISTEN_FDS") != nil)")
            print("again: \(try ListenDescriptors.take().count)")
        } catch {
            print("error: \(error)")
        }
    }
}
