import EventLoop
import Glibc
import ServiceLifecycle
import SluiceDaemon
import Systemd
import Unix
import UnixSignals

/// The daemon's part of the service group. It listens, starts the daemon, waits for the shutdown, and stops the daemon.
struct DaemonService: Service {
    let daemon: IngestDaemon
    let socketPath: String
    let isPrivate: Bool
    /// There is a service manager, and the daemon is its service.
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
        // This also returns when the group is cancelled, which is a shutdown without grace. (The library's sequences
        // that end on a shutdown would start a task outside this task's executor.)
        let failure = await cancelWhenGracefulShutdown { await failures.first { _ in true } }
        // Remove the file first, because a successor may already be about to make its own.
        ownFile?.remove()
        // If the start has failed, the jobs of an earlier process are left to the next one.
        let plan = failure == nil ? plan() : isManaged ? .handOver : .endNow
        await withCheckedContinuation { continuation in
            Task { await daemon.stop(plan) { continuation.resume() } }
        }
        // A client that was killed cannot remove the directory that it made for the socket.
        if isPrivate, let slash = socketPath.lastIndex(of: "/") { rmdir(String(socketPath[..<slash])) }
        if failure != nil { throw StartFailure() }
    }
}

extension DaemonService {
    /// What a stop means for the jobs. The signal does not say, so the service manager is asked for the unit's current
    /// job.
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
            // If the descriptor cannot be watched, stop, because the end of the client would go unnoticed.
            guard (try? loop.watch(lifeline, for: .readable) { _ in onEnd() }) != nil else { return onEnd() }
            // The descriptor stays open until the process ends.
            _ = lifeline.release()
        }
    }
}
