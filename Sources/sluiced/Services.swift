import EventLoop
import Glibc
import ServiceLifecycle
import SluiceDaemon
import Systemd
import UnixSignals
import UnixSockets

/// The daemon's part of the service group: listens, starts, waits for the shutdown, and brings all of it to its end.
struct DaemonService: Service {
    let daemon: IngestDaemon
    let socketPath: String
    let isPrivate: Bool
    /// There is a service manager, and it is ours to talk to.
    let isManaged: Bool

    func run() async throws {
        let ownFile: SocketFile?
        let isPrivate = isPrivate
        let (failures, failing) = AsyncStream<String>.makeStream()
        do {
            var listening = try Listening.open(path: socketPath)
            ownFile = listening.ownFile
            let stored = listening.passed.takeStored()
            let areOwn = listening.areOwn
            try await daemon.start(
                listeners: listening.listeners, areOwn: areOwn, stored: stored,
                whenReady: { if isPrivate { _ = write(3, "R", 1) } },
                whenUnable: { failing.yield($0) })
        } catch {
            throw ListeningFailure(reason: "\(error)")
        }
        // Also ends where the group is cancelled, which is a shutdown in a hurry. (Sequences that end on a shutdown would
        // start a task outside of this one's executor.)
        let failure = await cancelWhenGracefulShutdown { await failures.first { _ in true } }
        // First of all: a successor may already be about to make its own.
        ownFile?.remove()
        // Where the start has failed, the jobs of an earlier process wait for one that does not.
        let plan = failure == nil ? plan() : isManaged ? .handOver : .endNow
        await withCheckedContinuation { continuation in
            Task { await daemon.stop(plan) { continuation.resume() } }
        }
        // A client that was killed cannot remove the directory that it made for us.
        if isPrivate, let slash = socketPath.lastIndex(of: "/") { rmdir(String(socketPath[..<slash])) }
        if failure != nil { throw StartFailure() }
    }
}

extension DaemonService {
    /// What the signal to stop means for the jobs: it does not say, but the service manager does.
    private func plan() -> StopPlan {
        if isPrivate { return .endNow }
        guard isManaged else { return .drain }
        switch UnitJob.current() {
        case .restart: return .handOver
        case .stop, .noJob: return .drain
        case .unknown: return .drainAndHandOver
        }
    }
}

/// The socket cannot be listened on.
struct ListeningFailure: Error {
    let reason: String
}

/// No lane can be started; the log says why.
struct StartFailure: Error {}

/// Reads the settings again on SIGHUP.
struct ReloadService: Service {
    let hangUps: UnixSignalsSequence
    let path: String?
    let daemon: IngestDaemon

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in hangUps {
                guard let path else {
                    await daemon.reload { () throws(SettingsFileError) in nil }
                    continue
                }
                await daemon.reload { () throws(SettingsFileError) in try SettingsFile.read(path: path) }
            }
        }
    }
}

/// Ends a private service when its client has gone: descriptor 3 reaches its end of file.
enum Lifeline {
    static func watch(
        _ descriptor: consuming OwnedDescriptor, on loop: EventLoop, _ onEnd: @escaping @Sendable () -> Void
    ) {
        let raw = descriptor.release()
        loop.execute {
            let lifeline = OwnedDescriptor(adopting: raw)
            // Where it cannot be watched there is no client to serve.
            guard (try? loop.watch(lifeline, for: .readable) { _ in onEnd() }) != nil else { return onEnd() }
            // Open for as long as the process is.
            _ = lifeline.release()
        }
    }
}
