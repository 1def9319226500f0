internal import CCurlShim
internal import SluiceCore
internal import Synchronization

/// What the shim tells of a request besides its response: how it stands with its connection, and how it ended.
enum RequestProgress {
    /// A function is held in a structure of its own. Where a generic type such as Mutex holds it directly, each access wraps it
    /// in two more layers of conversion: the 10,000th call went through 20,000 of them.
    private struct Listener {
        let call: @Sendable () -> Void
    }

    private static let listener = Mutex<Listener?>(nil)

    /// Sets what is called, on the session's thread, each time that a connection is there for a request. One for the
    /// process, like the shim's state.
    static func whenConnected(_ call: @escaping @Sendable () -> Void) {
        listener.withLock { $0 = Listener(call: call) }
    }

    static func connected() {
        // Not called under the lock: it takes others.
        let listener = listener.withLock { $0 }
        listener?.call()
    }

    /// Sets how the requests of the next job are made. Not while a transfer is under way.
    ///
    /// - Parameters:
    ///   - connectSeconds: for the name, the connection and the TLS handshake of each request.
    ///   - rate: what the job may receive, in bytes a second; nil for any.
    ///   - egress: where they may go.
    ///   - certificate: for servers of this host, with its key, in PEM.
    static func prepare(
        connectSeconds: Double, http1Only: Bool, rate: Int?, egress: EgressRules,
        certificate: (text: String, host: String)? = nil
    ) {
        var options = ccurlshim_options()
        // What comes at a time is paid for at a time: the next pause should not be long.
        options.buffer_size = rate.map { max(1024, min($0 / 8, Int(CCURLSHIM_BUFFER_SIZE))) } ?? 0
        options.connect_milliseconds = max(1, Int(connectSeconds * 1000))
        options.http1_only = http1Only
        options.on_connected = { RequestProgress.connected() }
        EgressGuard.set(egress)
        if !egress.isEmpty {
            options.may_connect = { bytes, port in EgressGuard.mayConnect(to: bytes, port: port) }
        }
        guard let certificate else { return ccurlshim_prepare(&options) }
        certificate.text.withCString { text in
            certificate.host.withCString { host in
                options.certificate = text
                options.certificate_host = host
                ccurlshim_prepare(&options)
            }
        }
    }

    /// Makes the transfer that is under way end without URLSession's help.
    ///
    /// `URLSessionTask.cancel` stops the process where it races with the end of the transfer (F36).
    static func abort() {
        ccurlshim_abort()
    }

    /// How the last request ended, for `completed`; nil where the shim has no effect.
    static func end() -> RequestEnd? {
        var result = ccurlshim_result()
        guard ccurlshim_result(&result), result.code >= 0 else { return nil }
        let offending = result.offending.map {
            Array(UnsafeBufferPointer(start: $0, count: result.offending_length))
        }
        return RequestEnd(
            code: Int(result.code), systemError: result.os_error, proxyStatus: Int(result.connect_status),
            isConnected: result.is_connected, outlivesBody: result.is_http2 && result.is_kept,
            offendingLine: offending, denied: result.is_denied ? EgressGuard.Peer(result) : nil)
    }
}

/// How libcurl says that a request ended.
struct RequestEnd: Sendable, Equatable {
    /// The CURLcode (libcurl-errors(3)).
    var code: Int
    /// The `errno` of the last system call that failed.
    var systemError: CInt
    /// The status of a proxy's answer to CONNECT; 0 where there was none.
    var proxyStatus: Int
    /// A connection to the origin was there.
    var isConnected: Bool
    /// It speaks HTTP/2, and is kept for the next request: the body's end was not the connection's.
    var outlivesBody: Bool
    /// The beginning of the header line that could not be understood.
    var offendingLine: [UInt8]?
    /// The address that was denied, where that is why there was no connection.
    var denied: EgressGuard.Peer?
}
