public import Unix

/// One method call, from its arrival to its last reply. Belongs to the loop's thread.
///
/// A call may be answered inside its handler or at any later time. The later calls of the same connection wait until
/// its last reply is given (varlink.org: calls are answered in order). No method of this class calls back at once: no
/// handler of yours runs inside `reply`, `fail` or `upgrade`.
///
/// A reply to a client that has gone, or after the last reply, is dropped silently. A call that is released without a
/// last reply is answered with `VarlinkService.internalError`, so that no client hangs because of a bug.
public final class VarlinkCall {
    /// The full name: `org.example.interface.Method`.
    public let method: String
    /// The credentials of the client, which the kernel vouches for.
    public let peer: PeerCredentials
    /// Identifies the client's connection among all connections of the service, earlier and later ones included.
    public let connectionNumber: UInt64
    /// Whether the client accepts more than one reply.
    public let wantsMore: Bool
    /// Whether the client accepts no reply. Replies are then dropped; the connection goes on when the handler
    /// returns.
    public let isOneway: Bool
    /// Whether the client asks for the connection to be handed over to another protocol after the reply.
    public let wantsUpgrade: Bool

    /// Called once, from the loop, when the client has gone or was dropped before the last reply. Not called for a
    /// call that was already answered, nor for oneway calls.
    public var onDisconnect: (() -> Void)?

    /// Empty once the handler has returned.
    private var message: IncomingMessage
    private let declaration: Declaration?
    private var pushed: PushedDescriptors?
    /// Where replies go; nil after the last one, and for oneway calls.
    private var connection: Connection?
    private let service: VarlinkService

    init(
        head: CallHead, message: IncomingMessage, connection: Connection, service: VarlinkService
    ) {
        method = head.method
        peer = connection.peer
        connectionNumber = connection.number
        isOneway = head.oneway ?? false
        wantsMore = (head.more ?? false) && !isOneway
        wantsUpgrade = (head.upgrade ?? false) && !isOneway
        self.message = message
        self.connection = isOneway ? nil : connection
        self.service = service
        let (interface, declared) = service.declaration(of: head.method)
        if let interface, let declared {
            declaration = Declaration(interface: interface, fields: declared.parameters)
        } else {
            declaration = nil
        }
    }

    deinit {
        connection?.finish(with: service.internalError)
    }

    /// Whether no reply can reach the client any more (it has gone, or the last reply was given), or none is wanted.
    public var isFinished: Bool { connection == nil }

    /// Whether the client has gone or was dropped before the last reply.
    public private(set) var isDisconnected = false

    /// Bytes of replies, to all calls of this client, that still wait in this process because the client does not
    /// read. A handler that streams replies and can skip some should do so while this is not 0.
    public var unreadReplyBytes: Int { connection?.unsentBytes ?? 0 }

    // MARK: What the call contains

    /// Decodes the parameters. Omitted parameters, null and `{}` are the same. Only the handler may call this: the
    /// message is released when the handler returns, so that a call that is kept does not keep what was sent.
    ///
    /// - Parameters:
    ///   - type: the type of the call's parameters.
    ///   - strict: refuse fields that the interface description does not declare, at any depth.
    /// - Throws: `VarlinkServiceError.invalidParameter` with the dotted path of the field that is unknown, missing
    ///   or of the wrong type; any other error that the type's own `init(from:)` throws.
    public func parameters<Parameters: Decodable>(
        as type: Parameters.Type, strict: Bool = true
    ) throws -> Parameters {
        do {
            return try MessageCoding.decode(
                DeclaredParameters<Parameters>.self, from: message.bytes,
                declaration: strict ? declaration : nil
            ).parameters
        } catch let error as UndeclaredField {
            throw VarlinkServiceError.invalidParameter(error.path)
        } catch let error as DecodingError {
            throw VarlinkServiceError.invalidParameter(MessageCoding.path(of: error) ?? "parameters")
        }
    }

    /// Refuses a call without `more`, for methods that answer more than once.
    ///
    /// - Throws: `VarlinkServiceError.expectedMore`.
    public func requireMore() throws(VarlinkServiceError) {
        guard wantsMore else { throw .expectedMore }
    }

    /// How many descriptors came with the call.
    public var descriptorCount: Int { message.descriptors.count }

    /// Takes a descriptor that came with the call. Descriptors that are not taken are closed when the handler
    /// returns.
    ///
    /// - Parameter index: the value of the call's `…FileDescriptor` field.
    /// - Returns: nil where no descriptor has this index, or it was taken before.
    public func takeDescriptor(_ index: Int) -> OwnedDescriptor? {
        message.descriptors.take(index)
    }

    // MARK: Replies

    /// Takes over a descriptor and sends it to the client with the next reply.
    ///
    /// The reply waits until the client has received everything that was sent before it, see `ReplyQueue`.
    ///
    /// - Returns: the value for the reply's `…FileDescriptor` field: the descriptor's index in the order of the
    ///   pushes.
    public func push(_ descriptor: consuming OwnedDescriptor) -> Int {
        let pushed = self.pushed ?? PushedDescriptors()
        self.pushed = pushed
        precondition(
            pushed.raw.count < SocketMessage.maximumDescriptors,
            "the program must limit the number of descriptors in a reply")
        return pushed.push(descriptor)
    }

    /// Answers.
    ///
    /// - Parameters:
    ///   - value: must encode as a JSON object. A value that cannot be encoded (a number that is not finite) is
    ///     reported to `VarlinkService.onHandlerFailure` and answered with `internalError`.
    ///   - continues: whether another reply follows. A call without `more` gets ExpectedMore instead of such a reply.
    public func reply(_ value: some Encodable, continues: Bool = false) {
        send(continues: continues) { encode(value, continues: continues) }
    }

    /// Answers with parameters that are already encoded.
    ///
    /// - Parameters:
    ///   - parameters: the reply's parameters.
    ///   - continues: as in the other `reply`.
    public func reply(_ parameters: EncodedParameters, continues: Bool = false) {
        send(continues: continues) { parameters.message(continues: continues) }
    }

    /// - Parameter message: returns nil where the call was answered meanwhile.
    private func send(continues: Bool, _ message: () -> [UInt8]?) {
        guard let connection else { return }
        if continues, !wantsMore { return fail(VarlinkServiceError.expectedMore) }
        guard let bytes = message() else { return }
        let descriptors = pushed
        pushed = nil
        if continues {
            connection.send(bytes, descriptors: descriptors, continues: true)
        } else {
            forgetConnection()
            connection.finish(with: bytes, descriptors: descriptors)
        }
    }

    /// Answers with a reply without fields.
    public func reply() {
        reply(NoParameters())
    }

    /// Answers with an error, which is the last reply. Pushed descriptors are closed.
    public func fail(_ error: some VarlinkErrorProtocol) {
        pushed = nil
        guard let connection else { return }
        forgetConnection()
        connection.finish(with: error)
    }

    /// Answers, and hands the connection over once the whole reply has been sent.
    ///
    /// The connection leaves the service and its limits. Where the client goes before that, `onDisconnect` is called
    /// instead of `handler`.
    ///
    /// - Parameters:
    ///   - value: as in `reply`.
    ///   - handler: gets the socket (non-blocking) and the bytes that the client has sent after the call.
    public func upgrade(
        _ value: some Encodable, _ handler: @escaping (consuming OwnedDescriptor, [UInt8]) -> Void
    ) {
        guard let connection, let bytes = encode(value, continues: false) else { return }
        let descriptors = pushed
        pushed = nil
        connection.upgrade(with: bytes, descriptors: descriptors, call: self, handler)
    }

    private func encode(_ value: some Encodable, continues: Bool) -> [UInt8]? {
        do {
            return try MessageCoding.message(
                ReplyEnvelope(parameters: value, continues: continues ? true : nil))
        } catch {
            service.onHandlerFailure?(method, error)
            fail(service.internalError)
            return nil
        }
    }

    // MARK: Called by the connection

    /// Called when the connection has gone and the call is unanswered.
    func disconnect() {
        guard connection != nil else { return }
        let handler = onDisconnect
        forgetConnection()
        isDisconnected = true
        handler?()
    }

    /// Called when the handler has returned: from then on the call does not need its message.
    func forgetMessage() {
        message = IncomingMessage(bytes: Array("{}".utf8), descriptors: DescriptorBox())
    }

    /// Called when the call is over. Releases `onDisconnect` too, since it may hold the call.
    func forgetConnection() {
        connection = nil
        onDisconnect = nil
    }
}
