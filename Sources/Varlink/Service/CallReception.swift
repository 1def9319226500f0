internal import SystemPackage
internal import Unix

/// The receiving half of a connection: takes bytes as they come, and hands out calls once they are whole.
///
/// Belongs to the loop's thread.
struct CallReception {
    /// What one look at the socket brought.
    enum Event: Equatable {
        /// Bytes, or nothing for now.
        case received
        /// The client sends nothing more.
        case finished
        /// The next bytes cannot be received: they carry descriptors, or more descriptors than are allowed.
        case unreceivable
        /// The connection is broken.
        case failed
    }

    private var decoder: MessageDecoder
    private let takesDescriptors: Bool
    /// The bytes that the last call of `changeOfBytes` counted.
    private var counted = 0
    /// A whole call that has not been carried out yet.
    private(set) var next: IncomingMessage?

    init(_ limits: VarlinkLimits) {
        takesDescriptors = limits.maximumDescriptorsPerMessage > 0
        decoder = MessageDecoder(
            maximumMessageSize: limits.maximumMessageSize,
            maximumDescriptors: limits.maximumDescriptorsPerMessage)
    }

    /// Whether no bytes wait behind `next`.
    var isEmpty: Bool { decoder.isEmpty }

    /// The memory in use, in bytes.
    private var bytes: Int { decoder.capacity + (next?.bytes.count ?? 0) }

    /// The number of bytes by which the memory in use has changed since the last call.
    mutating func changeOfBytes() -> Int {
        defer { counted = bytes }
        return bytes - counted
    }

    /// Receives what is there, at most the size of the buffer.
    mutating func receive(
        from socket: borrowing OwnedDescriptor, through buffer: UnsafeMutableRawBufferPointer
    ) -> Event {
        do throws(Errno) {
            guard takesDescriptors else {
                guard case .received(let count) = try SocketMessage.receiveBytes(into: buffer, from: socket)
                else { return .unreceivable }
                return append(buffer.prefix(count))
            }
            var message = try SocketMessage.receive(into: buffer, from: socket, dontWait: true)
            if message.isTruncated { return .unreceivable }
            var descriptors = ReceivedDescriptors()
            swap(&descriptors, &message.descriptors)
            return append(buffer.prefix(message.count), descriptors)
        } catch {
            return error == .wouldBlock ? .received : .failed
        }
    }

    private mutating func append(
        _ bytes: Slice<UnsafeMutableRawBufferPointer>,
        _ descriptors: consuming ReceivedDescriptors = ReceivedDescriptors()
    ) -> Event {
        do throws(FramingError) {
            try decoder.append(UnsafeRawBufferPointer(rebasing: bytes), descriptors: descriptors)
        } catch {
            return .unreceivable
        }
        return bytes.isEmpty ? .finished : .received
    }

    /// Receives and drops what a client sends that gets no more answers.
    static func discard(
        from socket: borrowing OwnedDescriptor, through buffer: UnsafeMutableRawBufferPointer
    ) -> Event {
        do throws(Errno) {
            guard case .received(let count) = try SocketMessage.receiveBytes(into: buffer, from: socket)
            else { return .unreceivable }
            return count == 0 ? .finished : .received
        } catch {
            return error == .wouldBlock ? .received : .failed
        }
    }

    /// Looks for the next call, unless one is already there.
    ///
    /// - Returns: whether this call of the method found one.
    mutating func findNext() throws(FramingError) -> Bool {
        guard next == nil else { return false }
        next = try decoder.next()
        return next != nil
    }

    /// Called when the call has been carried out.
    mutating func forgetNext() { next = nil }

    /// Takes all bytes behind the calls that were handed out. A call that was not carried out is dropped.
    mutating func takeRest() -> [UInt8] {
        next = nil
        return decoder.takeRest()
    }
}
