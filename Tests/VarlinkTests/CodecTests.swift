import SystemPackage
import TestKit
import Testing
import Unix

@testable import Varlink

@Suite("The codec") struct CodecTests {
    private func texts(_ decoder: inout MessageDecoder) throws -> [String] {
        var texts: [String] = []
        while let message = try decoder.next() {
            texts.append(String(decoding: message.bytes, as: UTF8.self))
        }
        return texts
    }

    @Test(
        "splits the stream into the same messages, whatever the size of the pieces",
        arguments: [1, 2, 3, 7, 71, 4096, 100_000])
    func splitsStreamIntoMessages(size: Int) throws {
        let messages = (0..<50).map { String(repeating: "m\($0)", count: $0 * $0) }
        let stream = messages.flatMap { Array($0.utf8) + [UInt8(0)] }
        var decoder = MessageDecoder(maximumMessageSize: 10_000, maximumDescriptors: 0)
        var found: [String] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            try stream[start..<min(start + size, stream.count)].withUnsafeBytes { try decoder.append($0) }
            found += try texts(&decoder)
        }
        #expect(found == messages)
        #expect(decoder.isEmpty)
    }

    @Test("looks at each byte once: a megabyte in single bytes takes less than a minute")
    func looksAtEachByteOnce() throws {
        var decoder = MessageDecoder(maximumMessageSize: 1 << 20, maximumDescriptors: 0)
        let took = try ProcessorTime.of {
            for _ in 0..<(1 << 20) {
                try [UInt8(ascii: "x")].withUnsafeBytes { try decoder.append($0) }
                #expect(try decoder.next() == nil)
            }
        }
        #expect(took < .seconds(60), "\(took)")
        try [0].withUnsafeBytes { try decoder.append($0.prefix(1).rebased) }
        #expect(try decoder.next()?.bytes.count == 1 << 20)
    }

    @Test(
        "accepts a message of exactly the limit and refuses one that is a byte longer",
        arguments: [true, false])
    func acceptsExactlyTheLimit(isEnded: Bool) throws {
        var decoder = MessageDecoder(maximumMessageSize: 10, maximumDescriptors: 0)
        try Array("0123456789\0".utf8).withUnsafeBytes { try decoder.append($0) }
        #expect(try decoder.next()?.bytes.count == 10)
        try Array("0123456789x".utf8).withUnsafeBytes { try decoder.append($0) }
        if isEnded { try [UInt8(0)].withUnsafeBytes { try decoder.append($0) } }
        #expect(throws: FramingError.messageTooLarge) { try decoder.next() }
    }

    @Test("gives descriptors to the message that the last byte of their piece belongs to")
    func assignsDescriptorsToTheirMessage() throws {
        let pair = try UnixSocket.streamPair()
        let pipe = try Pipe()
        var decoder = MessageDecoder(maximumMessageSize: 100, maximumDescriptors: 4)
        // The pieces are sent apart and received as the kernel chooses: it joins the first two pieces, and stops
        // there.
        for (text, descriptors) in [
            ("first\0", []), ("sec", [pipe.readEnd.rawValue]), ("ond\0", [pipe.writeEnd.rawValue]),
            ("third\0", []),
        ] {
            _ = try Array(text.utf8).withUnsafeBytes {
                try SocketMessage.send($0, descriptors: descriptors, to: pair.first)
            }
        }
        var pieces: [Int] = []
        while try pair.second.readableBytes() > 0 {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 1)
            defer { buffer.deallocate() }
            var message = try SocketMessage.receive(into: buffer, from: pair.second)
            var descriptors = ReceivedDescriptors()
            swap(&descriptors, &message.descriptors)
            pieces.append(message.count)
            try decoder.append(
                UnsafeRawBufferPointer(rebasing: buffer[..<message.count]), descriptors: descriptors)
        }
        #expect(pieces == [9, 4, 6], "the kernel's rule that the decoder rests on")
        #expect(try decoder.next()?.descriptors.count == 0)
        let second = try #require(try decoder.next())
        #expect(String(decoding: second.bytes, as: UTF8.self) == "second")
        #expect(second.descriptors.count == 2)
        let third = try #require(try decoder.next())
        #expect(third.descriptors.count == 0)
    }

    @Test("returns the remaining bytes once the connection speaks another protocol")
    func returnsRestOfStream() throws {
        var decoder = MessageDecoder(maximumMessageSize: 100, maximumDescriptors: 0)
        try Array("call\0raw\0bytes".utf8).withUnsafeBytes { try decoder.append($0) }
        _ = try decoder.next()
        #expect(decoder.takeRest() == Array("raw\0bytes".utf8))
        #expect(decoder.isEmpty)
    }

    @Test("keeps every JSON value as it is")
    func keepsEveryJSONValue() throws {
        let value: JSONValue = [
            "null": nil, "bool": true, "integer": -9_007_199_254_740_993, "double": 0.5,
            "string": "\u{0} é \"",
            "array": [1, [], [:]],
        ]
        let bytes = try MessageCoding.message(value)
        #expect(bytes.last == 0)
        #expect(!bytes.dropLast().contains(0))
        #expect(try MessageCoding.decode(JSONValue.self, from: bytes.dropLast()) == value)
        #expect(try value.decode(as: [String: JSONValue].self)["integer"] == -9_007_199_254_740_993)
    }
}

extension Slice where Base == UnsafeRawBufferPointer {
    fileprivate var rebased: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self) }
}

@Suite("Values that are encoded once")
struct EncodedValueTests {
    private struct Thing: Encodable {
        var name: String
        var count: Int?
    }
    private struct Reply: Encodable {
        var id: String
        var thing: Thing
    }

    @Test(
        "a reply that is assembled from parts has the same bytes as one that is encoded whole",
        arguments: [true, false])
    func assembledReplyEqualsWholeEncoding(continues: Bool) throws {
        let thing = Thing(name: "a \"quoted\" / line\nand \u{1F6B0}", count: 7)
        let whole = ReplyEnvelope(
            parameters: Reply(id: "a1Z", thing: thing), continues: continues ? true : nil)
        let parameters = EncodedParameters([
            "id": try #require(EncodedValue(word: "a1Z")), "thing": try EncodedValue(thing),
        ])
        #expect(parameters.message(continues: continues) == (try MessageCoding.message(whole)))
        #expect(EncodedParameters([:]).message(continues: false) == Array("{\"parameters\":{}}\0".utf8))
    }

    @Test(
        "a word consists of ASCII letters and digits only",
        arguments: ["a\"", "a b", "ä", "a\\", "\n", "a\0"])
    func wordHasOnlyLettersAndDigits(text: String) throws {
        #expect(EncodedValue(word: text) == nil)
        #expect(EncodedValue(word: "09azAZ") == (try EncodedValue("09azAZ")))
    }

    @Test("a value that cannot be encoded is refused")
    func refusesUnencodableValue() {
        #expect(throws: EncodingError.self) { try EncodedValue(Double.infinity) }
    }
}
