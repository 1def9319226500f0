internal import Glibc

/// Options of an nginx for a test, beyond serving files.
public struct NginxOptions: Sendable {
    /// Lines for each server block: `limit_rate`, `location /x { return 302 …; }`, …
    public var serverConfiguration = ""
    /// Lines for the http block.
    public var httpConfiguration = ""
    /// The certificate of the two TLS ports, which exist only where this is set.
    public var certificate: TestCA.Certificate?
    /// The address it listens on.
    public var host = "127.0.0.1"

    /// Serves files over plain HTTP and nothing else.
    public init() {}
}

/// A real nginx with files, ports and configuration of its own. It ends with this value.
///
/// It is one process (`master_process off`), so `processID` is the process that serves.
public final class Nginx: Sendable {
    private let directory: TemporaryDirectory
    private let program: Program
    private let host: String
    /// The directory of the served files.
    public let root: String
    /// Plain HTTP/1.1.
    public let httpPort: UInt16
    /// TLS without HTTP/2. No process listens there without a certificate.
    public let tlsPort: UInt16
    /// TLS with HTTP/2 by ALPN. No process listens there without a certificate.
    public let http2Port: UInt16

    /// Starts it and waits until it accepts connections.
    ///
    /// - Throws: `TestFailure` with nginx's own message.
    public init(_ options: NginxOptions = NginxOptions()) throws {
        let directory = try TemporaryDirectory("sluice-nginx")
        try directory.makeDirectory("files")
        try directory.makeDirectory("temp")
        var failure = ""
        // Another process may take a port between its choice and nginx's bind(2). The test then chooses again.
        for _ in 0..<5 {
            let ports = try (0..<3).map { _ in try Loopback.freePort(host: options.host) }
            try directory.write(Self.configuration(options, ports, directory.path), to: "nginx.conf")
            let program = try Program(
                "/usr/sbin/nginx",
                ["-p", directory.path, "-c", directory.file("nginx.conf"), "-e", "error.log"])
            let used = options.certificate == nil ? ports.prefix(1) : ports[...]
            try eventually("nginx accepts connections or ends") {
                !program.isRunning || used.allSatisfy { Loopback.answers(host: options.host, port: $0) }
            }
            if program.isRunning {
                self.directory = directory
                self.program = program
                host = options.host.contains(":") ? "[\(options.host)]" : options.host
                root = directory.file("files")
                (httpPort, tlsPort, http2Port) = (ports[0], ports[1], ports[2])
                return
            }
            failure = program.errors + ((try? readText(directory.file("error.log"))) ?? "")
        }
        throw TestFailure("nginx did not start: \(failure)")
    }

    deinit { stop() }

    /// The process that serves.
    public var processID: Int32 { program.processID }

    /// `http://…` + the path, which begins with a slash.
    public func httpURL(_ path: String) -> String { "http://\(host):\(httpPort)\(path)" }
    /// `https://localhost…`, HTTP/1.1 only.
    public func tlsURL(_ path: String) -> String { "https://localhost:\(tlsPort)\(path)" }
    /// `https://localhost…`, with HTTP/2 for clients that offer it.
    public func http2URL(_ path: String) -> String { "https://localhost:\(http2Port)\(path)" }

    /// Makes a file of patterned bytes in the served directory.
    ///
    /// - Returns: its path in URLs, with the slash.
    @discardableResult
    public func serve(_ name: String, _ pattern: Pattern, count: Int) throws -> String {
        try pattern.makeFile("\(root)/\(name)", count: count)
        return "/\(name)"
    }

    /// The access log's lines: status, bytes of the body sent, protocol, method, URI, Range, connection number. nginx
    /// writes a line when the request is over.
    public func accessLog() throws -> [String] {
        try readText(directory.file("access.log")).split(separator: "\n").map(String.init)
    }

    /// Waits until nginx is blocked on the plain port: its send queue is full and no byte moves.
    public func waitUntilBlocked(
        port: UInt16? = nil, calm: Duration = .milliseconds(300), within duration: Duration = Deadline.usual
    ) throws {
        try TCPTable.waitUntilBlocked(localPort: port ?? httpPort, calm: calm, within: duration)
    }

    /// Sends SIGQUIT for a graceful end, and SIGKILL where that takes too long. May be called twice.
    public func stop(gracefully: Bool = false) {
        guard program.isRunning else { return }
        program.signal(gracefully ? SIGQUIT : SIGTERM)
        // At a SIGTERM nginx drops its connections, and at a SIGQUIT it waits for its clients.
        _ = try? program.wait(within: .seconds(3))
        program.kill()
    }

    private static func configuration(_ options: NginxOptions, _ ports: [UInt16], _ prefix: String) -> String
    {
        let address = options.host.contains(":") ? "[\(options.host)]" : options.host
        func server(_ listen: String) -> String {
            "server { listen \(address):\(listen); root \(prefix)/files; \(options.serverConfiguration)\n }\n"
        }
        var servers = server("\(ports[0])")
        var tls = ""
        if let certificate = options.certificate {
            tls = "ssl_certificate \(certificate.certificate); ssl_certificate_key \(certificate.key);"
            servers += server("\(ports[1]) ssl") + server("\(ports[2]) ssl http2")
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(prefix)/temp/\($0);" }.joined(separator: " ")
        return """
            daemon off; master_process off; worker_processes 1; pid \(prefix)/nginx.pid;
            error_log \(prefix)/error.log notice;
            events { worker_connections 512; }
            http {
              log_format counted '$status $body_bytes_sent $server_protocol $request_method $request_uri '
                '"$http_range" $connection';
              access_log \(prefix)/access.log counted;
              \(temporary)
              default_type application/octet-stream; sendfile on; keepalive_timeout 30s;
              server_names_hash_bucket_size 128;
              \(tls)
              \(options.httpConfiguration)
              \(servers)
            }

            """
    }
}
