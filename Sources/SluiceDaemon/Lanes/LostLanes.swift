internal import EventLoop
internal import Glibc
internal import Unix

/// Ends and reaps processes of nurseries that are not known as lanes: a nursery that dies may have forked for a request that
/// it had not answered yet. Belongs to the loop's thread.
final class LostLanes {
    /// How long such a process has to end by itself: it was never let go, or sees the end of its socket.
    private static let patience = Duration.seconds(1)
    /// Other children that this process may have are not the nursery's.
    private static let names: Set<String> = ["sluice-lane", "sluice-nursery"]

    private let loop: EventLoop
    /// Whether a process that is still unknown may be answered for.
    private let isAsked: () -> Bool
    private var timer: Timer?

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
                try? loop.reapAtEnd(process)
            }
        }
    }

    func close() { timer?.cancel() }
}
