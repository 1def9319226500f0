/// Why a job ended, as one word for programs. `Outcome` has a sentence for users beside it.
public enum OutcomeCode: String, Codable, Sendable, CaseIterable {
    // The whole body was delivered.

    /// Every byte of the body is in the consumer's pipe, and the origin's own framing says that the body is complete.
    case complete
    /// The body ended with the connection, and nothing says whether it is complete (RFC 9112 §6.3, case 8).
    case completeUnverified
    /// The caller already has the current version (304, RFC 9110 §15.4.5): no bytes were delivered.
    case unchanged

    // A user, the consumer or the service ended it.

    /// The owner, or root, cancelled the job.
    case cancelled
    /// The consumer closed its end of the pipe.
    case consumerGone
    /// The consumer did not read for long, the body could not be continued later, and other jobs needed the lane.
    case consumerTooSlow
    /// The service stopped while the job ran.
    case serviceStopped

    // No response.

    /// The settings allow no connection to any address of the host, or to the proxy.
    case addressDenied
    /// The host's name has no address, or no name server answered.
    case nameNotResolved
    /// No server listens at the origin's port.
    case connectionRefused
    /// The connection could not be made for another reason.
    case connectFailed
    /// No connection became ready for the request in time.
    case connectTimeout
    /// A connection became ready, but no head of a final response arrived in time.
    case headTimeout
    /// The proxy has no address, refuses connections, or does not answer.
    case proxyUnreachable
    /// The proxy answered that it does not connect to the origin.
    case proxyRefused
    /// The certificate has expired, or is not valid yet.
    case tlsCertificateExpired
    /// The certificate is for another host.
    case tlsWrongHost
    /// No trusted authority signed the certificate.
    case tlsUntrusted
    /// The TLS handshake failed for another reason.
    case tlsFailed
    /// The answer is not valid HTTP.
    case protocolError

    // The response is not accepted.

    /// The final status is not 2xx.
    case httpStatus
    /// The origin sent more redirects than the service follows.
    case tooManyRedirects
    /// The redirect is one that the service does not follow: another scheme, https to http, or no valid Location.
    case redirectRefused
    /// The body has a transfer coding other than chunked, or a content coding that the job refuses.
    case contentEncoded
    /// The service asked for the whole representation, and the origin sent a part of it.
    case unexpectedPartial
    /// The body is larger than the job allows.
    case tooLarge

    // The body broke off.

    /// The origin ended the body before its announced end.
    case truncated
    /// The connection was lost in mid-body.
    case connectionLost
    /// The origin gave up while it had to wait for the consumer, and the body cannot be continued.
    case originGaveUp
    /// The origin sent no byte for the silence timeout although the consumer was ready.
    case silenceTimeout
    /// The origin was slower than the minimum speed although the consumer was ready.
    case tooSlow
    /// The job's total time has passed.
    case deadlineExceeded

    // The body broke off and cannot be continued with the exact next byte.

    /// The response gave no version (ETag, Last-Modified) by which the body could be continued.
    case noValidator
    /// The response gave a version that does not promise equal bytes (RFC 9110 §8.8.1).
    case weakValidator
    /// The service never continues such a body: it ends only with the connection, or its coding is not known.
    case notResumable
    /// The origin now has another version, or redirects to another place.
    case resourceChanged
    /// The answer does not say which version it belongs to.
    case unknownVersion
    /// The version is the same, and the length has changed.
    case lengthChanged
    /// The origin sent a part that does not begin where the body broke off.
    case wrongRange
    /// The origin sent several parts where the service asked for one (multipart/byteranges).
    case multipartRange
    /// The origin says that no byte follows where the body broke off, although the body was not complete there.
    case rangeNotSatisfiable

    // The body is not the expected one.

    /// The whole body was delivered, and its digest differs from the expected one.
    case digestMismatch

    // The service itself failed.

    /// The lane process died, or was killed because it did not answer the service.
    case laneDied
    /// No lane could be started.
    case laneUnavailable
    /// The ledger contradicts itself, so the service cannot say which bytes were delivered.
    case deliveryUncertain

    /// The final state of a job with this outcome.
    public var state: JobState {
        switch self {
        case .complete, .completeUnverified, .unchanged: .complete
        case .cancelled: .cancelled
        default: .failed
        }
    }

    /// What the user can do about it; nil where the message is enough.
    public var remedy: String? {
        switch self {
        case .complete, .unchanged, .cancelled, .consumerGone: nil
        case .completeUnverified: "compare a checksum of the body if you need to be sure"
        case .serviceStopped: "fetch again once the service runs"
        case .addressDenied:
            "ask the administrator whether the host may be reached: [egress] of the service's settings decides"
        case .nameNotResolved: "check the host's spelling and this machine's name servers"
        case .connectionRefused: "check the port, and whether the server runs"
        case .connectFailed:
            "check the network between this machine and the host, and whether the service's unit denies the address (IPAddressDeny=)"
        case .connectTimeout: "try again later, or allow more time (--connect-timeout)"
        case .headTimeout: "try again later, or allow more time for the answer (--head-timeout)"
        case .proxyUnreachable:
            "check the proxy in the service's environment (https_proxy, http_proxy, no_proxy), and whether it runs"
        case .proxyRefused:
            "ask the proxy's owner whether it may reach the host; after 407 the administrator must give the service the proxy's credentials: see sluiced(8)"
        case .tlsCertificateExpired:
            "report it to the server's owner, who must renew the certificate; check this machine's clock, too"
        case .tlsWrongHost: "use the name that the certificate is for"
        case .tlsUntrusted:
            "ask the administrator to add the authority to this machine's trusted certificates"
        case .tlsFailed: nil
        case .protocolError:
            "report it to the server's owner; docs/limits.md lists what Sluice does not accept"
        case .httpStatus:
            "check the URL, and whether it needs credentials (--header); after 429 or 5xx try again later"
        case .tooManyRedirects:
            "check the URL: the redirects may form a circle; redirects.limit of the settings is the limit"
        case .redirectRefused:
            "fetch the redirect's target yourself if you trust it; a redirect from https to http needs --digest or --allow-downgrade"
        case .contentEncoded:
            "leave out --identity to get a coded body as it was sent; report a transfer coding to the server's owner"
        case .unexpectedPartial:
            "report it to the server's owner: the server answers 206 although no range was requested"
        case .tooLarge: "allow more (--max-size)"
        case .consumerTooSlow: "read faster, or put the body into a file first (-o FILE)"
        case .truncated, .connectionLost: "fetch again"
        case .originGaveUp: "read faster, or put the body into a file first (-o FILE)"
        case .noValidator, .weakValidator, .notResumable:
            "fetch again; a server that sends a strong ETag lets a body be continued"
        case .resourceChanged, .lengthChanged: "fetch again: what was delivered belongs to the old version"
        case .unknownVersion, .wrongRange, .multipartRange, .rangeNotSatisfiable:
            "fetch again, and report to the server's owner that its answers to range requests are wrong (RFC 9110 §14)"
        case .digestMismatch: "do not use what was delivered; fetch again, or from another place"
        case .silenceTimeout: "fetch again, or allow longer silence (--silence-timeout)"
        case .tooSlow: "fetch again, or allow a lower speed (--min-speed)"
        case .deadlineExceeded: "allow more time (--deadline)"
        case .laneDied:
            "fetch again; if it happens again with this URL, report it: no answer of a server should do that"
        case .laneUnavailable: "look into the service's journal"
        case .deliveryUncertain: "fetch again, and report this: it should never happen"
        }
    }
}

extension OutcomeCode {
    /// Reads a code. `stallTimeout` is what `silenceTimeout` was called before 0.4.0; stored outcomes may have it.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let name = try container.decode(String.self)
        guard let code = OutcomeCode(rawValue: name == "stallTimeout" ? "silenceTimeout" : name) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "there is no outcome \(name)")
        }
        self = code
    }
}
