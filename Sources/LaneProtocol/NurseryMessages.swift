/// The request to a nursery for one lane. It comes with two descriptors: the lane's control socket and its standard
/// error.
public enum NurseryRequest {
    /// The packet. It has no contents: all is in the descriptors.
    public static let packet: [UInt8] = [1]
    /// Number of descriptors.
    public static let descriptors = 2
}

/// What the nursery says: first `ready`, then an answer to each request, in their order.
public enum NurseryReply: Sendable, Equatable {
    /// It is warm, and can be asked.
    case ready
    /// The lane's process ID. The process is the daemon's child. A descriptor comes with it, where it could be opened: the
    /// lane's status file in /proc, for `ProcessNumbers`.
    case started(Int32)
    /// No process could be made; the number is that of errno(3).
    case failed(Int32)

    /// Length of a packet, in bytes.
    public static let length = 4
    private static let errors: ClosedRange<Int32> = 1...4095

    /// The packet.
    public var packet: [UInt8] {
        let number: Int32 =
            switch self {
            case .ready: 0
            case .started(let processID): processID
            case .failed(let error): -error
            }
        return withUnsafeBytes(of: number) { Array($0) }
    }

    /// Reads a packet; nil for anything that is none.
    public init?(packet: [UInt8]) {
        guard packet.count == Self.length else { return nil }
        let number = packet.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
        if number == 0 {
            self = .ready
        } else if number > 0 {
            self = .started(number)
        } else if number > .min, Self.errors.contains(-number) {
            self = .failed(-number)
        } else {
            return nil
        }
    }
}
