internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import Unix

/// Ends and reaps the processes of nurseries that nobody knows: a nursery that dies may have forked for a request whose
/// answer was not heard. Belongs to the loop's thread.
final class LostLanes {
    /// How long such a process has to end by itself: it was never let go, or sees the end of its socket.
    private static let patience = Duration.seconds(1)
    /// Other children that this process may have are not the nursery's.
    private static let names: Set<String> = ["sluice-lane", "sluice-nursery"]

    private let loop: EventLoop
    /// Whether a process that is still unknown may be answered for.
    private let isAsked: () -> Bool
    private var timer: Timer?
    private var lost: [LostLane] = []

    init(loop: EventLoop, isAsked: @escaping () -> Bool) {
        self.loop = loop
        self.isAsked = isAsked
    }

    /// Looks for them after a while.
    func look() {
        guard timer == nil else { return }
        timer = loop.after(Self.patience) { [weak self] in
            guard let self else { return }
            timer = nil
            // A lane whose number is on its way is not lost.
            if isAsked() { return look() }
            for processID in SpawnedProcess.strangers(named: Self.names) {
                guard let process = try? SpawnedProcess(adopting: processID) else { continue }
                process.signal(SIGKILL)
                if let lane = LostLane(process, loop, { [weak self] in self?.forget($0) }) {
                    lost.append(lane)
                }
            }
        }
    }

    func close() { timer?.cancel() }

    private func forget(_ lane: LostLane) {
        lost.removeAll { $0 === lane }
    }
}

/// A process that was killed and only has to be reaped.
private final class LostLane {
    private let process: SpawnedProcess
    private var watch: Watch?

    /// Nil if the loop cannot watch it; it is reaped then.
    init?(_ process: consuming SpawnedProcess, _ loop: EventLoop, _ onExit: @escaping (LostLane) -> Void) {
        self.process = process
        do {
            watch = try loop.watch(self.process.pidfd, for: .readable) { [weak self] _ in
                guard let self else { return }
                do throws(Errno) {
                    guard try self.process.reap() != nil else { return }
                } catch {
                    // It was reaped elsewhere.
                }
                watch?.cancel()
                onExit(self)
            }
        } catch {
            _ = try? self.process.wait()
            return nil
        }
    }

    deinit { watch?.cancel() }
}
