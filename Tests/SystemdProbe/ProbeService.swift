internal import Glibc
internal import Logging
internal import SystemPackage
internal import Systemd
internal import Unix

/// A service in one thread: ready when its gate opens, feeds the watchdog, answers on a passed socket, reloads on
/// SIGHUP, stops on SIGTERM.
enum ProbeService {
    /// The write end of a pipe for signal handlers. Only `run` writes it, once, before it installs the handlers.
    nonisolated(unsafe) private static var signalled: CInt = -1

    /// - Parameter gate: a FIFO; the service is ready once something has opened it for writing.
    static func run(gate: String?) {
        let logger = Logger(label: "probe") { _ in JournalLogHandler(identifier: "systemd-probe") }
        do {
            let pipe = try Pipe()
            signalled = pipe.writeEnd.rawValue
            for number in [SIGHUP, SIGTERM] {
                signal(number) { number in
                    var byte = UInt8(number)
                    write(ProbeService.signalled, &byte, 1)
                }
            }
            var passed = try ListenDescriptors.take()
            let listener = passed.takeFirst()
            if let gate { close(open(gate, O_RDONLY)) }
            let notifier = Notifier()
            notifier.ready(status: "1 streaming, 0 stalled")
            if let listener {
                logger.notice("probe ready", metadata: ["socket": "\(listener.name)"])
                try serve(pipe.readEnd, listener.descriptor, notifier)
            } else {
                logger.notice("probe ready")
                // A pipe without a writer takes the place of the socket.
                let silent = try Pipe()
                try serve(pipe.readEnd, silent.readEnd, notifier)
            }
            logger.notice("probe stopping")
        } catch {
            logger.error("probe failed", metadata: ["reason": "\(error)"])
            exit(1)
        }
    }

    private static func serve(
        _ signals: borrowing OwnedDescriptor, _ listener: borrowing OwnedDescriptor, _ notifier: Notifier
    ) throws {
        var entries = [signals.rawValue, listener.rawValue].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        let timeout = Watchdog.pingInterval.map { CInt($0 / .milliseconds(1)) } ?? -1
        var reloads = 0
        while true {
            notifier.watchdog()
            let ready = poll(&entries, 2, timeout)
            if ready < 0, errno == EINTR { continue }
            if entries[0].revents != 0 {
                var byte: UInt8 = 0
                read(signals.rawValue, &byte, 1)
                if CInt(byte) == SIGTERM {
                    notifier.stopping(status: "stopping")
                    return
                }
                notifier.reloading()
                reloads += 1
                notifier.ready(status: "reloads: \(reloads)")
            }
            if entries[1].revents != 0, let client = try UnixSocket.accept(from: listener) {
                write(client.rawValue, "hello\n", 6)
            }
        }
    }
}
