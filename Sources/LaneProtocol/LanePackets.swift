public import SluiceCore
public import SluiceInterface

// How the messages between daemon and lane are written and read: the fields in the order of their declarations.

extension LaneCommand: PacketValue {
    private enum Kind {
        static let order = 1
        static let end = 2
        static let pipesGrown = 3
        static let probe = 4
        static let rate = 5
    }

    /// Writes the kind and its values.
    public func write(to writer: inout PacketWriter) {
        switch self {
        case .order(let order):
            writer.put(Kind.order)
            writer.put(order)
        case .end(let serial):
            writer.put(Kind.end)
            writer.put(serial)
        case .pipesGrown(let serial):
            writer.put(Kind.pipesGrown)
            writer.put(serial)
        case .probe(let serial, let number):
            writer.put(Kind.probe)
            writer.put(serial)
            writer.put(number)
        case .rate(let serial, let bytesPerSecond):
            writer.put(Kind.rate)
            writer.put(serial)
            writer.put(bytesPerSecond)
        }
    }

    /// Reads the kind and its values.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        switch try reader.get(Int.self) {
        case Kind.order: self = .order(try reader.get())
        case Kind.end: self = .end(serial: try reader.get())
        case Kind.pipesGrown: self = .pipesGrown(serial: try reader.get())
        case Kind.probe: self = .probe(serial: try reader.get(), number: try reader.get())
        case Kind.rate: self = .rate(serial: try reader.get(), bytesPerSecond: try reader.get())
        default: throw PacketReader.Malformed()
        }
    }
}

extension LaneOrder: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(serial)
        writer.put(url)
        writer.put(headers)
        writer.put(highWatermark)
        writer.put(lowWatermark)
        writer.put(timeouts)
        writer.put(maximumSize)
        writer.put(stalledAfterSeconds)
        writer.put(parkAfterSeconds)
        writer.put(position)
        writer.put(known)
        writer.put(digest)
        writer.put(ifNoneMatch)
        writer.put(redirects)
        writer.put(requiresIdentity)
        writer.put(http1Only)
        writer.put(egress)
        writer.put(rate)
        writer.put(dropsConnections)
        writer.put(clientCertificate)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        serial = try reader.get()
        url = try reader.get()
        headers = try reader.get()
        highWatermark = try reader.get()
        lowWatermark = try reader.get()
        timeouts = try reader.get()
        maximumSize = try reader.get()
        stalledAfterSeconds = try reader.get()
        parkAfterSeconds = try reader.get()
        position = try reader.get()
        known = try reader.get()
        digest = try reader.get()
        ifNoneMatch = try reader.get()
        redirects = try reader.get()
        requiresIdentity = try reader.get()
        http1Only = try reader.get()
        egress = try reader.get()
        rate = try reader.get()
        dropsConnections = try reader.get()
        clientCertificate = try reader.get()
    }
}

extension LaneReport: PacketValue {
    /// These numbers differ from those of all commands.
    private enum Kind {
        static let ready = 11
        static let responded = 12
        static let stalled = 13
        static let flowing = 14
        static let held = 15
        static let released = 16
        static let keepsUp = 17
        static let ended = 18
        static let idle = 19
    }

    /// Writes the kind and its values.
    public func write(to writer: inout PacketWriter) {
        switch self {
        case .ready(let wire, let confinement):
            writer.put(Kind.ready)
            writer.put(wire)
            writer.put(confinement.rawValue)
        case .responded(let serial, let facts):
            writer.put(Kind.responded)
            writer.put(serial)
            writer.put(facts)
        case .stalled(let serial): Self.write(Kind.stalled, serial, to: &writer)
        case .flowing(let serial): Self.write(Kind.flowing, serial, to: &writer)
        case .held(let serial): Self.write(Kind.held, serial, to: &writer)
        case .released(let serial): Self.write(Kind.released, serial, to: &writer)
        case .keepsUp(let serial): Self.write(Kind.keepsUp, serial, to: &writer)
        case .ended(let serial, let facts, let isIdle, let keepsAccount):
            writer.put(Kind.ended)
            writer.put(serial)
            writer.put(facts)
            writer.put(isIdle)
            writer.put(keepsAccount)
        case .idle: writer.put(Kind.idle)
        }
    }

    private static func write(_ kind: Int, _ serial: Int, to writer: inout PacketWriter) {
        writer.put(kind)
        writer.put(serial)
    }

    /// Reads the kind and its values.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        switch try reader.get(Int.self) {
        case Kind.ready:
            let wire = try reader.get(Int.self)
            // A lane of another version may send only its version number.
            self = .ready(
                wire: wire, confinement: wire == Self.wire ? LaneConfinement(rawValue: try reader.get()) : [])
        case Kind.responded: self = .responded(serial: try reader.get(), try reader.get())
        case Kind.stalled: self = .stalled(serial: try reader.get())
        case Kind.flowing: self = .flowing(serial: try reader.get())
        case Kind.held: self = .held(serial: try reader.get())
        case Kind.released: self = .released(serial: try reader.get())
        case Kind.keepsUp: self = .keepsUp(serial: try reader.get())
        case Kind.ended:
            self = .ended(
                serial: try reader.get(), try reader.get(), isIdle: try reader.get(),
                keepsAccount: try reader.get())
        case Kind.idle: self = .idle
        default: throw PacketReader.Malformed()
        }
    }
}

extension ResponseFacts: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(status)
        writer.put(representation)
        writer.put(etag)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(status: try reader.get(), representation: try reader.get(), etag: try reader.get())
    }
}

extension EndFacts: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(outcome)
        writer.put(status)
        writer.put(retryAfterSeconds)
        writer.put(digest)
        writer.put(etag)
        writer.put(deniedAddress)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(try reader.get(), status: try reader.get())
        retryAfterSeconds = try reader.get()
        digest = try reader.get()
        etag = try reader.get()
        deniedAddress = try reader.get()
    }
}

extension Outcome: PacketValue {
    /// The code and the message. The remedy follows from the code.
    public func write(to writer: inout PacketWriter) {
        writer.put(code)
        writer.put(message)
    }

    /// The code and the message.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(try reader.get(OutcomeCode.self), try reader.get(String.self))
    }
}

extension OutcomeCode: PacketWord {}

extension HeaderField: PacketValue {
    /// Name and value.
    public func write(to writer: inout PacketWriter) {
        writer.put(name)
        writer.put(value)
    }

    /// Name and value.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(name: try reader.get(), value: try reader.get())
    }
}

extension Timeouts: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(connect)
        writer.put(head)
        writer.put(silence)
        writer.put(deadline)
        writer.put(minimumSpeed)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(
            connect: try reader.get(), head: try reader.get(), silence: try reader.get(),
            deadline: try reader.get(), minimumSpeed: try reader.get())
    }
}

extension RedirectPolicy: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(limit)
        writer.put(credentialFields)
        writer.put(allowsDowngrade)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(
            limit: try reader.get(), credentialFields: try reader.get(), allowsDowngrade: try reader.get())
    }
}

extension Representation: PacketValue {
    /// All fields.
    public func write(to writer: inout PacketWriter) {
        writer.put(url)
        writer.put(sendsHeaders)
        writer.put(version)
        writer.put(length)
        writer.put(framing)
        writer.put(refusesRanges)
        writer.put(digests)
        writer.put(coding)
        writer.put(needsCookies)
    }

    /// All fields.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        try self.init(uncodedFrom: &reader)
        coding = try reader.get()
        needsCookies = try reader.get()
    }

    /// Reads a packet of an older service, which has all fields but the coding and the cookies; nil for anything else.
    init?(packetWithoutCoding packet: [UInt8]) {
        var reader = PacketReader(packet)
        do {
            try self.init(uncodedFrom: &reader)
            try reader.end()
        } catch {
            return nil
        }
    }

    private init(uncodedFrom reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(
            url: try reader.get(), sendsHeaders: try reader.get(), version: try reader.get(),
            length: try reader.get(), framing: try reader.get(), refusesRanges: try reader.get(),
            digests: try reader.get())
    }
}

extension Version: PacketValue {
    private enum Kind {
        static let strong = 1
        static let weak = 2
        static let unnamed = 3
    }

    /// Writes the kind and its validator.
    public func write(to writer: inout PacketWriter) {
        switch self {
        case .strong(let validator):
            writer.put(Kind.strong)
            writer.put(validator.kind)
            writer.put(validator.text)
        case .weak: writer.put(Kind.weak)
        case .unnamed: writer.put(Kind.unnamed)
        }
    }

    /// Reads the kind and its validator.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        switch try reader.get(Int.self) {
        case Kind.strong: self = .strong(Validator(kind: try reader.get(), text: try reader.get()))
        case Kind.weak: self = .weak
        case Kind.unnamed: self = .unnamed
        default: throw PacketReader.Malformed()
        }
    }
}

extension Validator.Kind: PacketWord {}
extension BodyFraming: PacketWord {}
extension DigestAlgorithm: PacketWord {}

extension BodyDigest: PacketValue {
    /// Algorithm and digits.
    public func write(to writer: inout PacketWriter) {
        writer.put(algorithm)
        writer.put(hexadecimal)
    }

    /// Algorithm and digits, which are not checked here.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(algorithm: try reader.get(), hexadecimal: try reader.get())
    }
}

extension DigestRequest: PacketValue {
    /// Algorithm and what is expected.
    public func write(to writer: inout PacketWriter) {
        writer.put(algorithm)
        writer.put(expected)
    }

    /// Algorithm and what is expected.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(algorithm: try reader.get(), expected: try reader.get())
    }
}
