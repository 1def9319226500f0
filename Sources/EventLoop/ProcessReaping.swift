internal import Glibc
public import SystemPackage
public import Unix

extension EventLoop {
    /// Reaps a process once it has ended. The loop keeps the process until then.
    ///
    /// - Parameter onEnd: called on the loop's thread.
    /// - Throws: what `watch` throws. The process is then ended and reaped, because no other code could do that.
    public func reapAtEnd(
        _ process: consuming SpawnedProcess, _ onEnd: @escaping () -> Void = {}
    ) throws(Errno) {
        final class Child {
            let process: SpawnedProcess
            var watch: Watch?

            init(_ process: consuming SpawnedProcess) { self.process = process }
        }
        let child = Child(process)
        do throws(Errno) {
            // The handler keeps the child until it has cancelled its own watch.
            child.watch = try watch(child.process.pidfd, for: .readable) { _ in
                guard child.process.reapIfEnded() != nil else { return }
                child.watch?.cancel()
                child.watch = nil
                onEnd()
            }
        } catch {
            child.process.signal(SIGKILL)
            _ = try? child.process.wait()
            throw error
        }
    }
}
