import EventLoop
import ServiceLifecycle
import SluiceDaemon
import UnixSignals
import UnixSockets

/// The daemon's part of the service group: waits for the shutdown, and brings the daemon to its end.
struct DaemonService: Service {
    let daemon: IngestDaemon

    func run() async throws {
        // Ends with an error where the group is cancelled, which is a shutdown in a hurry.
        try? await gracefulShutdown()
        await withCheckedContinuation { continuation in
            Task { await daemon.stop { continuation.resume() } }
        }
    }
}

/// Reads the settings again on SIGHUP.
struct ReloadService: Service {
    let path: String?
    let daemon: IngestDaemon

    func run() async throws {
        let hangUps = await UnixSignalsSequence(trapping: .sighup)
        for await _ in hangUps.cancelOnGracefulShutdown() {
            guard let path else {
                await daemon.reload { () throws(SettingsFileError) in nil }
                continue
            }
            await daemon.reload { () throws(SettingsFileError) in try SettingsFile.read(path: path) }
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
