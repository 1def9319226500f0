internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import SluiceInterface

/// What an error of URLSession means for a job.
///
/// Foundation on Linux gives most of libcurl's failures the same code (-1, unknown) and keeps apart only the text that
/// libcurl wrote. So the text decides where the code does not, here and nowhere else; the facts' tests pin the texts.
enum TransferFailure {
    /// The outcome for an error.
    ///
    /// - Parameters:
    ///   - hasResponse: the head of an acceptable response had arrived.
    ///   - received: bytes of the body.
    static func outcome(
        for error: any Error, url: RequestURL, hasResponse: Bool, received: Int, length: Int?
    ) -> Outcome {
        let code = (error as NSError).code
        let text = readable(error.localizedDescription)
        let host = url.origin.host
        if hasResponse { return inBody(code: code, text: text, received: received, length: length) }
        switch code {
        case NSURLErrorCannotFindHost:
            return Outcome(.nameNotResolved, "the host name \(host) could not be resolved")
        case NSURLErrorCannotConnectToHost:
            return Outcome(.connectionRefused, "\(host) refuses connections to port \(url.origin.port)")
        case NSURLErrorTimedOut:
            return Outcome(.connectTimeout, "\(host) did not answer in time")
        case NSURLErrorNetworkConnectionLost:
            return Outcome(.connectionLost, "\(host) closed the connection before it answered")
        case NSURLErrorBadServerResponse:
            return Outcome(.connectionLost, "\(host) closed the connection without an answer")
        default:
            return beforeResponse(text: text, host: host)
        }
    }

    /// The same outcome, or that the origin gave up: its connection broke right after the consumer had made it wait.
    ///
    /// - Parameter hold: how long it had waited, where that is recent (`Pump.recentHold`).
    static func outcome(_ outcome: Outcome, afterHold hold: Duration?) -> Outcome {
        guard let hold, outcome.code == .connectionLost || outcome.code == .truncated else { return outcome }
        return Outcome(
            .originGaveUp,
            "the server gave up after the consumer had made it wait for \(hold.components.seconds) s: "
                + outcome.message)
    }

    private static func inBody(code: Int, text: String, received: Int, length: Int?) -> Outcome {
        let place = length.map { "after \(received) of \($0) bytes" } ?? "after \(received) bytes"
        if text.contains("transfer closed with") || text.contains("end of response with") {
            return Outcome(.truncated, "the server ended the body \(place)")
        }
        if code == NSURLErrorUnknown, !text.contains("Recv failure"), !text.contains("Connection") {
            return Outcome(.connectionLost, "the body broke off \(place): \(text)")
        }
        return Outcome(.connectionLost, "the connection was lost \(place)")
    }

    /// What libcurl says of a connection that ended before the head of a response was there. The later ones: in a TLS
    /// handshake, right after connect(2), in a stream of HTTP/2, and in a head behind its Content-Length.
    private static let lostConnection = [
        "Connection reset", "Recv failure", "Send failure", "Empty reply", "SSL_ERROR_SYSCALL",
        "unexpected eof while reading", "getpeername", "was not closed cleanly", "transfer closed with",
        "Broken pipe",
    ]

    private static func beforeResponse(text: String, host: String) -> Outcome {
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
        if lostConnection.contains(where: has) {
            return Outcome(.connectionLost, "\(host) closed the connection before it answered")
        }
        if has("Failed to connect") || has("Couldn't connect") || has("Could not connect") {
            return Outcome(.connectFailed, "no connection to \(host) could be made (\(text))")
        }
        if has("SSL") || has("TLS") || has("ALPN") {
            return Outcome(.tlsFailed, "no secure connection to \(host) could be made (\(text))")
        }
        return Outcome(.protocolError, "the answer of \(host) could not be understood (\(text))")
    }

    /// libcurl quotes what servers and names say: one line, printable, of bounded length.
    private static func readable(_ text: String) -> String {
        let printable = text.unicodeScalars.prefix(200).filter { $0.value >= 0x20 && $0.value < 0x7f }
        return printable.isEmpty ? "no details" : String(String.UnicodeScalarView(printable))
    }
}
