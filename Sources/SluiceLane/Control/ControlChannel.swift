internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// The lane's end of the seqpacket socket to its daemon. Used on the loop's thread only.
final class ControlChannel {
    /// What was received.
    enum Incoming: ~Copyable {
        /// A command, and the descriptors that came with it.
        case command(LaneCommand, ReceivedDescriptors)
        /// Nothing more has come.
        case nothing
        /// The daemon has gone, or has sent something that is not a command.
        case closed
    }

    let socket: OwnedDescriptor
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: LaneOrder.maximumBytes, alignment: 8)

    init(socket: consuming OwnedDescriptor) {
        self.socket = socket
    }

    deinit {
        buffer.deallocate()
    }

    func send(_ report: LaneReport) {
        // Errors are ignored: if the daemon has gone, `receive` finds the end of file.
        _ = try? SocketMessage.send(report.packet, to: socket)
    }

    func receive() -> Incoming {
        do {
            let message = try SocketMessage.receive(into: buffer, from: socket, dontWait: true)
            guard message.count > 0, !message.isTruncated else { return .closed }
            guard let command = LaneCommand(packet: Array(buffer.prefix(message.count))) else {
                return .closed
            }
            return .command(command, message.descriptors)
        } catch .wouldBlock {
            return .nothing
        } catch {
            return .closed
        }
    }
}
