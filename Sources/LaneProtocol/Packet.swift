internal import SluiceInterface

/// Writes the bytes of a message between daemon and lane, or of a lane's note in its ledger: the fields one after the
/// other, as their types write them.
///
/// Both ends are of one build, so the fields are not named. JSON took nearly a fifth of the time of a small job, and no
/// person reads these messages.
public struct PacketWriter {
    /// The bytes written so far.
    public private(set) var bytes: [UInt8] = []

    /// An empty writer.
    public init() {
        bytes.reserveCapacity(512)
    }

    /// Writes a value.
    public mutating func put(_ value: some PacketValue) {
        value.write(to: &self)
    }

    fileprivate mutating func append(_ word: UInt64) {
        withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
    }

    fileprivate mutating func append(_ byte: UInt8) {
        bytes.append(byte)
    }

    fileprivate mutating func append(text: String) {
        append(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }
}

/// Parses a message. The message is untrusted: each length in it is checked against the bytes that are left.
public struct PacketReader {
    /// The bytes are not a valid message.
    public struct Malformed: Error, Equatable {}

    private var rest: ArraySlice<UInt8>

    /// A reader at the beginning of a message.
    public init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    /// Reads a value.
    public mutating func get<Value: PacketValue>(_ type: Value.Type = Value.self) throws(Malformed) -> Value {
        try Value(from: &self)
    }

    /// Checks that the whole message has been read.
    ///
    /// - Throws: `Malformed` if bytes are left.
    public func end() throws(Malformed) {
        guard rest.isEmpty else { throw Malformed() }
    }

    fileprivate mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
        guard count >= 0, count <= rest.count else { throw Malformed() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    fileprivate mutating func takeByte() throws(Malformed) -> UInt8 {
        guard let byte = rest.popFirst() else { throw Malformed() }
        return byte
    }

    fileprivate mutating func takeWord() throws(Malformed) -> UInt64 {
        let bytes = try take(MemoryLayout<UInt64>.size)
        return UInt64(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    }

    /// Reads a count of elements, each of which takes at least a byte.
    fileprivate mutating func takeCount() throws(Malformed) -> Int {
        guard let count = Int(exactly: try takeWord()), count <= rest.count else { throw Malformed() }
        return count
    }
}

/// A value that can be part of a message.
public protocol PacketValue {
    /// Writes the value.
    func write(to writer: inout PacketWriter)
    /// Reads what `write` wrote.
    init(from reader: inout PacketReader) throws(PacketReader.Malformed)
}

extension PacketValue {
    /// The message that consists of this value alone.
    public var packet: [UInt8] {
        var writer = PacketWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// Reads a message that consists of this value alone; nil for any other message.
    public init?(packet: [UInt8]) {
        var reader = PacketReader(packet)
        do {
            try self.init(from: &reader)
            try reader.end()
        } catch {
            return nil
        }
    }
}

extension Int: PacketValue {
    /// Eight bytes.
    public func write(to writer: inout PacketWriter) { writer.append(UInt64(bitPattern: Int64(self))) }

    /// Eight bytes.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(Int64(bitPattern: try reader.takeWord()))
    }
}

extension Double: PacketValue {
    /// The bits of the number.
    public func write(to writer: inout PacketWriter) { writer.append(bitPattern) }

    /// A finite number.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self.init(bitPattern: try reader.takeWord())
        guard isFinite else { throw PacketReader.Malformed() }
    }
}

extension Bool: PacketValue {
    /// One byte.
    public func write(to writer: inout PacketWriter) { writer.append(self ? UInt8(1) : 0) }

    /// One byte, 0 or 1.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        switch try reader.takeByte() {
        case 0: self = false
        case 1: self = true
        default: throw PacketReader.Malformed()
        }
    }
}

extension String: PacketValue {
    /// Its length and its UTF-8.
    public func write(to writer: inout PacketWriter) { writer.append(text: self) }

    /// Valid UTF-8.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        let count = try reader.takeCount()
        guard let text = String(validating: try reader.take(count), as: UTF8.self) else {
            throw PacketReader.Malformed()
        }
        self = text
    }
}

extension Optional: PacketValue where Wrapped: PacketValue {
    /// Whether there is a value, then the value.
    public func write(to writer: inout PacketWriter) {
        writer.put(self != nil)
        if let self { writer.put(self) }
    }

    /// Whether there is a value, then the value.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self = try reader.get(Bool.self) ? .some(try reader.get(Wrapped.self)) : nil
    }
}

extension Array: PacketValue where Element: PacketValue {
    /// The number of elements, then the elements.
    public func write(to writer: inout PacketWriter) {
        writer.put(count)
        for element in self { writer.put(element) }
    }

    /// The number of elements, then the elements.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self = []
        for _ in 0..<(try reader.takeCount()) { append(try reader.get(Element.self)) }
    }
}

/// A value of a closed set of words. It is sent as the word itself, so that two builds cannot read one value as
/// another.
protocol PacketWord: PacketValue, RawRepresentable where RawValue == String {}

extension PacketWord {
    /// The word.
    public func write(to writer: inout PacketWriter) { writer.put(rawValue) }

    /// A word of the set.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        guard let value = Self(rawValue: try reader.get(String.self)) else { throw PacketReader.Malformed() }
        self = value
    }
}
