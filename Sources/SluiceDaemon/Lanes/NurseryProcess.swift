internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SystemPackage
internal import Unix

/// One process that forks lanes (`sluice-lane --nursery`), and the seqpacket socket to it. Belongs to the loop's thread.
final class NurseryProcess {
    let processID: Int32
    private let process: SpawnedProcess
    private let channel: OwnedDescriptor
    private let words: LaneWords
    private var channelWatch: Watch?
    private var exitWatch: Watch?

    /// Starts it.
    ///
    /// - Parameters:
    ///   - onReply: called with each reply, in order, and the descriptors that came with it; nil for a packet that is no
    ///     reply.
    ///   - onExit: called once, after the last reply.
    /// - Throws: `Errno` if a socket, a pipe or the process cannot be made.
    init(
        executable: String, environment: [String], loop: EventLoop, log: any LaneLog,
        onReply: @escaping (NurseryProcess, NurseryReply?, inout ReceivedDescriptors) -> Void,
        onExit: @escaping (NurseryProcess, ProcessExit) -> Void
    ) throws(Errno) {
        let pair = try UnixSocket.seqpacketPair()
        let pipe = try Pipe()
        let name = Name()
        words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) { log.laneSays(name.processID, $0) }
        process = try SpawnedProcess(
            path: executable, arguments: ["--nursery"], environment: environment,
            standardError: pipe.writeEnd.rawValue, control: pair.second.rawValue, newSession: true)
        channel = pair.first
        processID = process.processID
        name.processID = processID
        do {
            channelWatch = try loop.watch(channel, for: .readable) { [weak self] _ in self?.receive(onReply) }
            exitWatch = try loop.watch(process.pidfd, for: .readable) { [weak self] _ in
                self?.hasExited(onReply, onExit)
            }
        } catch {
            channelWatch?.cancel()
            process.signal(SIGKILL)
            _ = try? process.wait()
            throw error
        }
    }

    private final class Name {
        var processID: Int32 = 0
    }

    /// Sends a request.
    ///
    /// - Throws: `Errno.wouldBlock` if it is too far behind, `Errno.brokenPipe` if it has gone.
    func ask(_ descriptors: [CInt]) throws(Errno) {
        let result: Result<Void, Errno> = NurseryRequest.packet.withUnsafeBytes { bytes in
            Result { () throws(Errno) in
                _ = try SocketMessage.send(bytes, descriptors: descriptors, to: channel, dontWait: true)
            }
        }
        try result.get()
    }

    func kill() { process.signal(SIGKILL) }

    /// Asks it to end: the end of its socket is the sign.
    func hangUp() {
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
    }

    private func receive(_ onReply: (NurseryProcess, NurseryReply?, inout ReceivedDescriptors) -> Void) {
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
            onReply(self, NurseryReply(packet: Array(bytes.prefix(count))), &descriptors)
        }
    }

    private func hasExited(
        _ onReply: (NurseryProcess, NurseryReply?, inout ReceivedDescriptors) -> Void,
        _ onExit: (NurseryProcess, ProcessExit) -> Void
    ) {
        let exit: ProcessExit?
        do {
            exit = try process.reap()
        } catch {
            exit = .signalled(0)
        }
        guard let exit else { return }
        receive(onReply)
        channelWatch?.cancel()
        exitWatch?.cancel()
        words.finish()
        onExit(self, exit)
    }
}
