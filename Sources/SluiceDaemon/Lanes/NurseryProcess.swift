internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SystemPackage
internal import Unix

/// One process that forks lanes (`sluice-lane --nursery`), and the seqpacket socket to it. Belongs to the loop's thread.
final class NurseryProcess: NurseryTransport {
    var onReply: (NurseryReply?, inout ReceivedDescriptors) -> Void = { _, _ in }
    var onExit: (ProcessExit) -> Void = { _ in }
    private let process: SpawnedProcess
    private let channel: OwnedDescriptor
    private var words: LaneWords?
    private var channelWatch: Watch?
    private var exitWatch: Watch?

    /// Starts it.
    ///
    /// - Throws: `Errno` if a socket, a pipe or the process cannot be made.
    init(executable: String, environment: [String], loop: EventLoop, log: any LaneLog) throws(Errno) {
        let pair = try UnixSocket.seqpacketPair()
        let pipe = try Pipe()
        process = try SpawnedProcess(
            path: executable, arguments: ["--nursery"],
            // All functions of the libraries are found once, and not in each lane (ld.so(8)).
            environment: environment + ["LD_BIND_NOW=1"],
            standardError: pipe.writeEnd.rawValue, control: pair.second.rawValue, newSession: true)
        channel = pair.first
        do {
            words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) {
                [processID = process.processID] in
                log.laneSays(processID, $0)
            }
            channelWatch = try loop.watch(channel, for: .readable) { [weak self] _ in self?.look() }
            exitWatch = try loop.watch(process.pidfd, for: .readable) { [weak self] _ in self?.hasExited() }
        } catch {
            channelWatch?.cancel()
            process.signal(SIGKILL)
            _ = try? process.wait()
            throw error
        }
    }

    func ask(_ ends: borrowing LaneEnds) throws(Errno) {
        try SocketMessage.send(
            NurseryRequest.packet, descriptors: [ends.control.rawValue, ends.words.rawValue], to: channel,
            dontWait: true)
    }

    func kill() { process.signal(SIGKILL) }

    func hangUp() {
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
    }

    func look() {
        var bytes = [UInt8](repeating: 0, count: NurseryReply.length + 1)
        while true {
            var descriptors = ReceivedDescriptors()
            // Descriptors of this process are not dangerous to receive: it parses nothing from outside.
            var isAtEnd = false
            let count = bytes.withUnsafeMutableBytes { buffer -> Int in
                do throws(Errno) {
                    var message = try SocketMessage.receive(into: buffer, from: channel, dontWait: true)
                    swap(&descriptors, &message.descriptors)
                    isAtEnd = message.count == 0
                    return message.count
                } catch {
                    isAtEnd = error != .wouldBlock
                    return 0
                }
            }
            guard count > 0 else {
                // The end of the stream, which is followed by the end of the process.
                if isAtEnd { channelWatch?.cancel() }
                return
            }
            onReply(NurseryReply(packet: Array(bytes.prefix(count))), &descriptors)
        }
    }

    private func hasExited() {
        guard let exit = process.reapIfEnded() else { return }
        look()
        channelWatch?.cancel()
        exitWatch?.cancel()
        words?.finish()
        onExit(exit)
    }
}
