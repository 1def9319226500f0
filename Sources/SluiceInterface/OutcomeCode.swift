/// Why a job ended: one word for programs. The sentence for people stands beside it in `Outcome`.
public enum OutcomeCode: String, Codable, Sendable, CaseIterable {
    // The whole body was delivered.

    /// Every byte of the body is in the consumer's pipe, and the origin's own framing says that this was all.
    case complete
    /// The body ended with the connection and nothing says whether that was its end (RFC 9112 §6.3, case 8).
    case completeUnverified
    /// The caller has the current version already (304, RFC 9110 §15.4.5): no bytes were delivered.
    case unchanged

    // Somebody here ended it.

    /// The owner, or root, cancelled the job.
    case cancelled
    /// The consumer closed its end of the pipe.
    case consumerGone
    /// The consumer did not read for long, the body could not be continued later, and others needed the lane.
    case consumerTooSlow
    /// The service stopped while the job ran.
    case serviceStopped

    // No response.

    /// The settings allow no connection to the host, to any of its addresses, or to the proxy.
    case addressDenied
    /// The host's name has no address, or no name server answered.
    case nameNotResolved
    /// Nobody listens at the origin's port.
    case connectionRefused
    /// The connection could not be made for another reason.
    case connectFailed
    /// No connection was ready for the request in time.
    case connectTimeout
    /// A connection was ready, and no head of a final response arrived in time.
    case headTimeout
    /// The proxy has no address, refuses connections, or does not answer.
    case proxyUnreachable
    /// The proxy answered that it does not connect to the origin.
    case proxyRefused
    /// The certificate's time is over, or has not come.
    case tlsCertificateExpired
    /// The certificate is for another host.
    case tlsWrongHost
    /// No trusted authority vouches for the certificate.
    case tlsUntrusted
    /// The TLS handshake failed for another reason.
    case tlsFailed
    /// What came back is not HTTP that can be understood.
    case protocolError

    // A response that is not taken.

    /// The final status is not 2xx.
    case httpStatus
    /// More redirects than the service follows.
    case tooManyRedirects
    /// A redirect to a place that is not followed: another scheme, https to http, no valid Location.
    case redirectRefused
    /// The body has a transfer coding beside chunked, or a content coding and the job wants none.
    case contentEncoded
    /// A part of a representation came where the whole was asked for.
    case unexpectedPartial
    /// The body is larger than the job allows.
    case tooLarge

    // The body broke off.

    /// The origin ended the body before its announced end.
    case truncated
    /// The connection was lost in mid-body.
    case connectionLost
    /// The origin gave up while the consumer made it wait, and the body cannot be continued.
    case originGaveUp
    /// No byte came from the origin for the stall timeout although the consumer was ready.
    case stallTimeout
    /// The origin sent less than the least speed allows although the consumer was ready.
    case tooSlow
    /// The job's total time is over.
    case deadlineExceeded

    // The body broke off and cannot be continued with the exact next byte.

    /// The response named no version (ETag, Last-Modified) to continue.
    case noValidator
    /// It named one that does not promise equal bytes (RFC 9110 §8.8.1).
    case weakValidator
    /// A body of this kind is never continued: only the connection's end tells its own, or its coding cannot be told.
    case notResumable
    /// The origin has another version now, or sends the client to another place.
    case resourceChanged
    /// The answer does not say of which version it is.
    case unknownVersion
    /// The same version, and another length.
    case lengthChanged
    /// A part was sent that does not begin where the body broke off.
    case wrongRange
    /// Several parts were sent where one was asked for (multipart/byteranges).
    case multipartRange
    /// The origin says that there is nothing where the body broke off, and that this was not the end.
    case rangeNotSatisfiable

    // The body is not what it should be.

    /// The whole body came, and its digest is another one.
    case digestMismatch

    // Our own trouble.

    /// The lane process died, or was killed because it did not answer the service.
    case laneDied
    /// No lane could be started.
    case laneUnavailable
    /// The ledger contradicts itself, so it cannot be said what was delivered.
    case deliveryUncertain

    /// The state a job with this outcome is in.
    public var state: JobState {
        switch self {
        case .complete, .completeUnverified, .unchanged: .complete
        case .cancelled: .cancelled
        default: .failed
        }
    }

    /// What the person in front of it can do; nil where the sentence says it all.
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
            "ask the proxy's owner whether it may reach the host; after 407 the administrator has to give the service the proxy's credentials: see sluiced(8)"
        case .tlsCertificateExpired:
            "the server's owner has to renew the certificate; check this machine's clock, too"
        case .tlsWrongHost: "use the name that the certificate is for"
        case .tlsUntrusted: "let the administrator add the authority to this machine's trusted certificates"
        case .tlsFailed: nil
        case .protocolError: "the server's owner has to mend it; docs/limits.md lists what is not taken"
        case .httpStatus:
            "check the URL, and whether it needs credentials (--header); after 429 or 5xx try again later"
        case .tooManyRedirects:
            "check the URL: the server may send clients in circles; the limit is redirects.limit of the settings"
        case .redirectRefused:
            "fetch the redirect's target yourself if you trust it; from https to http it takes --digest or --allow-downgrade"
        case .contentEncoded:
            "leave out --identity to get the body as it was sent; a transfer coding is the server's owner's to take off"
        case .unexpectedPartial: "the server answers 206 without being asked for a range"
        case .tooLarge: "allow more (--max-size)"
        case .consumerTooSlow: "read faster, or put the body into a file first (-o FILE)"
        case .truncated, .connectionLost: "fetch again"
        case .originGaveUp: "read faster, or put the body into a file first (-o FILE)"
        case .noValidator, .weakValidator, .notResumable:
            "fetch again; a server that sends a strong ETag lets a body be continued"
        case .resourceChanged, .lengthChanged: "fetch again: what was delivered belongs to the old version"
        case .unknownVersion, .wrongRange, .multipartRange, .rangeNotSatisfiable:
            "fetch again; the server's owner has to mend its range requests (RFC 9110 §14)"
        case .digestMismatch: "do not use what was delivered; fetch again, or from another place"
        case .stallTimeout: "fetch again, or allow longer silence (--stall-timeout)"
        case .tooSlow: "fetch again, or allow a lower speed (--min-speed)"
        case .deadlineExceeded: "allow more time (--deadline)"
        case .laneDied:
            "fetch again; if it happens again with this URL, report it: no answer of a server should do that"
        case .laneUnavailable: "look into the service's journal"
        case .deliveryUncertain: "fetch again, and report this: it should never happen"
        }
    }
}
