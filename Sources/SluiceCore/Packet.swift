internal import SluiceInterface

/// The bytes of a message between daemon and lane, and of what a lane notes in its ledger: the fields one after the
/// other, as their types write them.
///
/// Both ends are of one build, so nothing in it names a field. JSON cost nearly a fifth of all the time that a small
/// job takes, and here there is no one to read it.
public struct PacketWriter {
    /// What was written.
    public private(set) var bytes: [UInt8] = []

    /// Nothing written yet.
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

/// Takes a message apart. What it reads may have been written by anybody: nothing is believed that it says of its own
/// lengths.
public struct PacketReader {
    /// The bytes are no such message.
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

    /// Says that the message is over.
    ///
    /// - Throws: `Malformed` where it is not.
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

    /// A count of things that take at least a byte each.
    fileprivate mutating func takeCount() throws(Malformed) -> Int {
        guard let count = Int(exactly: try takeWord()), count <= rest.count else { throw Malformed() }
        return count
    }
}

/// What can be a part of a message.
public protocol PacketValue {
    /// Writes it.
    func write(to writer: inout PacketWriter)
    /// Reads what `write` wrote.
    init(from reader: inout PacketReader) throws(PacketReader.Malformed)
}

extension PacketValue {
    /// The message that consists of this alone.
    public var packet: [UInt8] {
        var writer = PacketWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// Reads a message that consists of this alone; nil where it does not.
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
    /// Its bits.
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
    /// Whether there is one, and it.
    public func write(to writer: inout PacketWriter) {
        writer.put(self != nil)
        if let self { writer.put(self) }
    }

    /// Whether there is one, and it.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self = try reader.get(Bool.self) ? .some(try reader.get(Wrapped.self)) : nil
    }
}

extension Array: PacketValue where Element: PacketValue {
    /// Their number, and they.
    public func write(to writer: inout PacketWriter) {
        writer.put(count)
        for element in self { writer.put(element) }
    }

    /// Their number, and they.
    public init(from reader: inout PacketReader) throws(PacketReader.Malformed) {
        self = []
        for _ in 0..<(try reader.takeCount()) { append(try reader.get(Element.self)) }
    }
}

/// A word of a closed set travels as itself, so that no two builds can mistake one for another.
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
