internal import Foundation
internal import SluiceCore
internal import SystemPackage
internal import UnixSockets

/// The lane's end of the seqpacket socket to its daemon. Belongs to the loop's thread.
final class ControlChannel {
    /// What a packet was.
    enum Incoming: ~Copyable {
        /// A command, and what came with it.
        case command(LaneCommand, ReceivedDescriptors)
        /// Nothing more has come.
        case nothing
        /// The daemon is gone, or sends what is not a command.
        case closed
    }

    let socket: OwnedDescriptor
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: LaneOrder.maximumBytes, alignment: 8)

    private let encoder = JSONEncoder()

    init(socket: consuming OwnedDescriptor) {
        self.socket = socket
        // A URL of slashes would be twice as long as the daemon expects.
        encoder.outputFormatting = .withoutEscapingSlashes
    }

    deinit {
        buffer.deallocate()
    }

    func send(_ report: LaneReport) {
        // Encoding cannot fail: there is no custom code, and the only number that could be infinite is capped. A daemon that is gone shows as an
        // end of file.
        guard let bytes = try? encoder.encode(report) else { return }
        _ = try? bytes.withUnsafeBytes { bytes throws(Errno) in
            try SocketMessage.send(bytes, to: socket)
        }
    }

    func receive() -> Incoming {
        do {
            let message = try SocketMessage.receive(into: buffer, from: socket, dontWait: true)
            guard message.count > 0, !message.isTruncated else { return .closed }
            let data = Data(buffer.prefix(message.count))
            guard let command = try? JSONDecoder().decode(LaneCommand.self, from: data) else {
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
