internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import Unix

/// TLS in front of raw servers, by `Tests/Responses/tls-relay.py`. It ends with this value.
///
/// When a server closes its connection, the relay ends the TLS session with close_notify. When a server resets it,
/// the relay closes the TCP connection without close_notify.
///
/// ## Concurrency model
/// `port(for:)` may be called from any thread; a lock keeps each question and its answer together.
public final class TLSRelay: Sendable {
    private let program: Program
    private let questions: OwnedDescriptor
    private let turn = Mutex(())

    /// Starts the relay.
    ///
    /// - Parameter certificate: the certificate that it shows to clients.
    public init(_ certificate: TestCA.Certificate) throws {
        let pipe = try Pipe()
        try setNonblocking(pipe.readEnd.rawValue, false)
        program = try Program(
            "/usr/bin/python3",
            [Sources.path("Tests/Responses/tls-relay.py"), certificate.certificate, certificate.key],
            standardInput: pipe.readEnd.rawValue)
        questions = try pipe.writeEnd.duplicate()
    }

    /// The port on 127.0.0.1 at which the relay offers TLS for a server.
    ///
    /// - Parameter server: the server's port on 127.0.0.1.
    /// - Throws: `TestFailure` where the relay does not answer.
    public func port(for server: UInt16) throws -> UInt16 {
        try turn.withLock { _ in
            _ = try FileDescriptor(rawValue: questions.rawValue).writeAll("\(server)\n".utf8)
            guard let port = try program.line().flatMap({ UInt16($0) }) else {
                throw TestFailure("the TLS relay failed: \(program.errors)")
            }
            return port
        }
    }
}
