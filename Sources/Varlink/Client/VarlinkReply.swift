public import Unix

/// One reply as it came, with its descriptors. Error replies are thrown instead.
public struct VarlinkReply: ~Copyable {
    private let bytes: [UInt8]
    private let descriptors: DescriptorBox
    /// Whether more replies to the same call follow.
    public let continues: Bool

    init(_ message: IncomingMessage, continues: Bool) {
        bytes = message.bytes
        descriptors = message.descriptors
        self.continues = continues
    }

    /// Decodes the parameters. Unknown fields are ignored, so that a service may add fields.
    ///
    /// - Throws: `VarlinkClientError.protocolViolation` with the dotted path of the field that is missing or has a
    ///   wrong type.
    public func decode<Parameters: Decodable>(
        as type: Parameters.Type
    ) throws(VarlinkClientError) -> Parameters {
        do {
            return try MessageCoding.decode(ParametersEnvelope<Parameters>.self, from: bytes).parameters
        } catch {
            let path = (error as? DecodingError).flatMap(MessageCoding.path(of:))
            throw .protocolViolation("the field \(path ?? "parameters") of the reply is not as declared")
        }
    }

    /// How many descriptors came along.
    public var descriptorCount: Int { descriptors.count }

    /// Takes a descriptor. Descriptors that are not taken are closed with the reply.
    ///
    /// - Parameter index: the value of the reply's `…FileDescriptor` field.
    /// - Returns: nil where no descriptor has this index, or it was taken before.
    public func takeDescriptor(_ index: Int) -> OwnedDescriptor? {
        descriptors.take(index)
    }
}

/// A connection that has left Varlink: the service speaks another protocol on it now.
public struct UpgradedConnection<Reply>: ~Copyable {
    /// What the service answered.
    public let reply: Reply
    /// The bytes that came after the answer. Read them before the socket.
    public let received: [UInt8]
    /// The socket of the connection: blocking, unless it was adopted as non-blocking.
    public var socket: OwnedDescriptor
}
