internal import CCurlShim
internal import SluiceCore
internal import Synchronization

/// What the shim reports about a request besides its response: the state of its connection, and how it ended.
enum RequestProgress {
    /// A structure for a function. If a generic type such as Mutex holds a function directly, each access wraps it in
    /// two more layers of conversion: the 10,000th call went through 20,000 layers.
    private struct Listener {
        let call: @Sendable () -> Void
    }

    private static let listener = Mutex<Listener?>(nil)

    /// Sets the function that is called, on the session's thread, each time that a connection is ready for a request.
    /// It is global to the process, like the shim's state.
    static func whenConnected(_ call: @escaping @Sendable () -> Void) {
        listener.withLock { $0 = Listener(call: call) }
    }

    static func connected() {
        // The function is not called under the lock, because it takes other locks.
        let listener = listener.withLock { $0 }
        listener?.call()
    }

    /// Sets the options for the requests of the next job. Do not call it during a transfer.
    ///
    /// - Parameters:
    ///   - connectSeconds: the limit for the name lookup, the connection and the TLS handshake of each request.
    ///   - rate: the rate at which the job may receive, in bytes a second; nil for any.
    ///   - egress: the rules for where the requests may connect to.
    ///   - certificate: a certificate with its key, in PEM, and the host whose servers get it.
    static func prepare(
        connectSeconds: Double, http1Only: Bool, rate: Int?, egress: EgressRules,
        certificate: (text: String, host: String)? = nil
    ) {
        var options = ccurlshim_options()
        // After each delivery the session pauses for as long as the rate requires for its bytes. A small buffer keeps
        // the pauses short.
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

    /// Makes the current transfer end without URLSession's help.
    ///
    /// `URLSessionTask.cancel` can stop the process if it races with the end of the transfer (docs/foundation.md, F36).
    static func abort() {
        ccurlshim_abort()
    }

    /// How the last request ended, for `completed`; nil if the shim has no effect.
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

/// How a request ended, as libcurl reports it.
struct RequestEnd: Sendable, Equatable {
    /// The CURLcode (libcurl-errors(3)).
    var code: Int
    /// The `errno` of the last system call that failed.
    var systemError: CInt
    /// The status of a proxy's answer to CONNECT; 0 if there was none.
    var proxyStatus: Int
    /// True if there was a connection to the origin.
    var isConnected: Bool
    /// True if the connection speaks HTTP/2 and is kept for the next request: the body did not end with the connection.
    var outlivesBody: Bool
    /// The beginning of the header line that could not be parsed.
    var offendingLine: [UInt8]?
    /// The address that was denied, if that is why there was no connection.
    var denied: EgressGuard.Peer?
}
