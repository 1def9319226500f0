internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import SluiceInterface

/// What an error of URLSession means for a job.
///
/// Foundation on Linux gives most of libcurl's failures the same code (-1, unknown). libcurl's own code, which the shim
/// keeps, therefore decides, and libcurl's text if one code stands for several causes. If the shim has no effect, there
/// is only the text.
struct TransferFailure {
    /// libcurl-errors(3).
    private enum Code {
        static let unsupportedProtocol = 1
        static let couldNotResolveProxy = 5
        static let couldNotResolveHost = 6
        static let couldNotConnect = 7
        static let weirdServerReply = 8
        static let http2 = 16
        static let partialFile = 18
        static let writeError = 23
        static let timedOut = 28
        static let tlsConnect = 35
        static let badFunctionArgument = 43
        static let gotNothing = 52
        static let sendError = 55
        static let receiveError = 56
        static let peerVerification = 60
        static let authoritiesUnreadable = 77
        static let http2Stream = 92
        static let proxy = 97
    }

    /// The origin of the request.
    let origin: Origin
    /// What libcurl reports; nil if the shim has no effect.
    let end: RequestEnd?
    /// The proxy on the way, as a host and a port, without credentials.
    let proxy: String?
    /// The limit for the connection, in seconds.
    let connectLimit: Double

    private var host: String { origin.host }

    /// The outcome for an error.
    ///
    /// - Parameters:
    ///   - hasResponse: the head of an acceptable response had arrived.
    ///   - received: the bytes of the body that have come.
    ///   - length: the length of the body, if it is known.
    func outcome(for error: any Error, hasResponse: Bool, received: Int, length: Int?) -> Outcome {
        let text = Self.readable(Array(error.localizedDescription.utf8))
        if (error as NSError).code == NSURLErrorHTTPTooManyRedirects {
            return Outcome(.tooManyRedirects, "the server redirected more than 20 times")
        }
        if hasResponse {
            return inBody(code: (error as NSError).code, text: text, received: received, length: length)
        }
        if let end { return beforeResponse(end, text) }
        switch (error as NSError).code {
        case NSURLErrorCannotFindHost: return nameNotResolved
        case NSURLErrorCannotConnectToHost: return connectionRefused
        case NSURLErrorTimedOut: return connectTimeout
        case NSURLErrorNetworkConnectionLost:
            return connectionLost("closed the connection before it answered (\(text))")
        case NSURLErrorBadServerResponse: return connectionLost("closed the connection without an answer")
        default: return beforeResponse(text: text)
        }
    }

    /// The same outcome; or that the origin gave up, if its connection broke right after the consumer had made it wait.
    ///
    /// - Parameter wait: how long the origin had waited, if that was recent (`Pump.recentWait`).
    static func outcome(_ outcome: Outcome, afterWait wait: Duration?) -> Outcome {
        guard let wait, outcome.code == .connectionLost || outcome.code == .truncated else { return outcome }
        return Outcome(
            .originGaveUp,
            "the server gave up after the consumer had made it wait for \(wait.components.seconds) s: "
                + outcome.message)
    }

    // MARK: In the body

    private func inBody(code: Int, text: String, received: Int, length: Int?) -> Outcome {
        let place = length.map { "after \(received) of \($0) bytes" } ?? "after \(received) bytes"
        if end?.code == Code.partialFile || text.contains("transfer closed with")
            || text.contains("end of response with")
        {
            return Outcome(.truncated, "the server ended the body \(place)")
        }
        let isReset =
            end.map { [Code.sendError, Code.receiveError].contains($0.code) && $0.systemError != 0 }
            ?? (code != NSURLErrorUnknown || text.contains("Recv failure") || text.contains("Connection"))
        return Outcome(
            .connectionLost,
            isReset ? "the connection was lost \(place)" : "the body broke off \(place): \(text)")
    }

    // MARK: Before the response

    private func beforeResponse(_ end: RequestEnd, _ text: String) -> Outcome {
        // The connection failed, and it was the one to the proxy.
        if let proxy, !end.isConnected, let outcome = atProxy(proxy, end, text) { return outcome }
        switch end.code {
        case Code.couldNotResolveProxy: return proxyUnreachable(text)
        case Code.couldNotResolveHost: return nameNotResolved
        case Code.couldNotConnect where end.systemError == ECONNREFUSED: return connectionRefused
        case Code.couldNotConnect where text.contains("timed out") || text.contains("Timeout"),
            Code.timedOut:
            return connectTimeout
        case Code.couldNotConnect:
            return Outcome(.connectFailed, "no connection to \(host) could be made (\(text))")
        case Code.gotNothing: return connectionLost("closed the connection without an answer")
        case Code.receiveError where text.contains("Too large response headers"):
            return notUnderstood(text)
        case Code.sendError, Code.receiveError, Code.partialFile:
            return connectionLost("closed the connection before it answered (\(text))")
        case Code.http2, Code.http2Stream:
            return Outcome(.connectionLost, "\(host) ended the request before it answered (\(text))")
        case Code.writeError:
            if let line = end.offendingLine { return malformed(line) }
        case Code.weirdServerReply, Code.unsupportedProtocol:
            return notUnderstood(text)
        case Code.badFunctionArgument:
            // libcurl 7.88 says this of a field that it cannot read. Its text may be one of an earlier connection, which
            // it has replaced without a word.
            return notUnderstood("libcurl cannot read a line of its head")
        case Code.authoritiesUnreadable:
            return Outcome(
                .tlsFailed, "the certificates of the authorities on this machine cannot be read (\(text))")
        case Code.peerVerification, Code.tlsConnect: break
        default: break
        }
        return beforeResponse(text: text)
    }

    private func atProxy(_ proxy: String, _ end: RequestEnd, _ text: String) -> Outcome? {
        if end.proxyStatus >= 300 {
            return Outcome(
                .proxyRefused,
                "the proxy \(proxy) refused the connection to \(host): it answered \(end.proxyStatus)")
        }
        // After an accepted CONNECT every failure is the origin's, and TLS failures have codes of their own.
        guard end.proxyStatus == 0 || end.code == Code.receiveError else { return nil }
        switch end.code {
        case Code.couldNotResolveProxy:
            return Outcome(.proxyUnreachable, "the name of the proxy \(proxy) could not be resolved")
        case Code.couldNotConnect, Code.timedOut, Code.gotNothing, Code.sendError, Code.receiveError,
            Code.proxy:
            return proxyUnreachable(text)
        default: return nil
        }
    }

    private func proxyUnreachable(_ text: String) -> Outcome {
        Outcome(
            .proxyUnreachable, "the proxy \(proxy ?? "of the environment") cannot be reached (\(text))")
    }

    private var nameNotResolved: Outcome {
        Outcome(.nameNotResolved, "the host name \(host) could not be resolved")
    }

    private var connectionRefused: Outcome {
        Outcome(.connectionRefused, "\(host) refuses connections to port \(origin.port)")
    }

    private var connectTimeout: Outcome {
        Outcome(.connectTimeout, "no connection to \(host) within \(connectLimit) s")
    }

    private func connectionLost(_ how: String) -> Outcome {
        Outcome(.connectionLost, "\(host) \(how)")
    }

    private func notUnderstood(_ text: String) -> Outcome {
        Outcome(.protocolError, "the answer of \(host) could not be understood (\(text))")
    }

    private func malformed(_ line: [UInt8]) -> Outcome {
        Outcome(
            .protocolError,
            "the answer of \(host) has a line that could not be understood: “\(Self.escaped(line))”")
    }

    /// libcurl's texts for a connection that ended before the head of a response had come. From "SSL_ERROR_SYSCALL" on:
    /// in a TLS handshake, right after connect(2), in a stream of HTTP/2, and in a head behind its Content-Length.
    private static let lostConnection = [
        "Connection reset", "Recv failure", "Send failure", "Empty reply", "SSL_ERROR_SYSCALL",
        "unexpected eof while reading", "getpeername", "was not closed cleanly", "transfer closed with",
        "Broken pipe",
    ]

    /// The outcome by libcurl's text, for codes that stand for several causes, mainly those of TLS.
    private func beforeResponse(text: String) -> Outcome {
        func has(_ part: String) -> Bool { text.contains(part) }
        if has("certificate has expired") || has("certificate is not yet valid") {
            return Outcome(.tlsCertificateExpired, "the certificate of \(host) is not valid now (\(text))")
        }
        if has("no alternative certificate subject name matches") || has("does not match target host") {
            return Outcome(.tlsWrongHost, "the certificate is not for \(host) (\(text))")
        }
        if has("SSL certificate problem") {
            return Outcome(.tlsUntrusted, "the certificate of \(host) is not trusted (\(text))")
        }
        if Self.lostConnection.contains(where: has) {
            return connectionLost("closed the connection before it answered (\(text))")
        }
        if has("Failed to connect") || has("Couldn't connect") || has("Could not connect") {
            return Outcome(.connectFailed, "no connection to \(host) could be made (\(text))")
        }
        if has("SSL") || has("TLS") || has("ALPN") {
            return Outcome(.tlsFailed, "no secure connection to \(host) could be made (\(text))")
        }
        return notUnderstood(text)
    }

    // MARK: Texts

    /// A text of libcurl as one printable line of bounded length, because libcurl quotes servers and name servers.
    private static func readable(_ text: [UInt8]) -> String {
        let printable = text.prefix(200).filter { $0 >= 0x20 && $0 < 0x7f }
        return printable.isEmpty ? "no details" : String(decoding: printable, as: UTF8.self)
    }

    /// A server's bytes as printable ASCII.
    static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if (0x20..<0x7f).contains(byte), byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }
}
