internal import CUnix
internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import Unix

/// SHA-256 by coreutils' `sha256sum`, a child that reads a pipe, so that the tests depend on no crypto library.
public final class SHA256Sum: Sendable {
    private let program: Program
    private let writeEnd: Mutex<CInt>

    /// Starts the child.
    public init() throws {
        let pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        program = try Program("/usr/bin/sha256sum", standardInput: pipe.readEnd.rawValue)
        writeEnd = Mutex(try pipe.writeEnd.duplicate().release())
    }

    deinit { closeInput() }

    /// The descriptor to write the bytes to: blocking, valid until `finish`.
    public var input: CInt { writeEnd.withLock { $0 } }

    /// Closes the input and returns the sum, in hexadecimal.
    public func finish() throws -> String {
        closeInput()
        let output = try program.wait().successful().output
        return String(output.prefix(64))
    }

    private func closeInput() {
        writeEnd.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    /// The sum of all bytes that can be read from a descriptor (a file from its position on, a pipe to its end).
    public static func of(descriptor: CInt, within duration: Duration = Deadline.long) throws -> String {
        let program = try Program("/usr/bin/sha256sum", standardInput: descriptor)
        return String(try program.wait(within: duration).successful().output.prefix(64))
    }

    /// The sum of a file.
    public static func of(file path: String) throws -> String {
        let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        return try descriptor.closeAfter { try of(descriptor: descriptor.rawValue) }
    }

    /// The sum of some bytes.
    public static func of(_ bytes: [UInt8]) throws -> String {
        let sum = try SHA256Sum()
        _ = try FileDescriptor(rawValue: sum.input).writeAll(bytes)
        return try sum.finish()
    }
}
