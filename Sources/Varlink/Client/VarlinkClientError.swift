public import SystemPackage

/// Why a call failed, as the client sees it.
public enum VarlinkClientError: Error, Equatable, CustomStringConvertible {
    /// The service answered with an error: its full name and its fields.
    case error(name: String, parameters: JSONValue)
    /// The service closed the connection before it answered.
    case disconnected
    /// The deadline passed before the answer arrived. The connection cannot be used any more, since the answer may
    /// still come.
    case timedOut
    /// The service sent a message that is no reply, or a reply without the fields it should have. The value is a
    /// sentence.
    case protocolViolation(String)
    /// No service could be reached at this path.
    case cannotConnect(path: String, Errno)
    /// A system call failed.
    case system(Errno)
    /// The parameters could not be encoded. The value is a sentence.
    case invalidParameters(String)

    /// The sentence for users.
    public var description: String {
        switch self {
        case .error(let name, .object(let fields)) where !fields.isEmpty:
            "the service answered \(name) \(JSONValue.object(fields).text)"
        case .error(let name, _): "the service answered \(name)"
        case .disconnected: "the service closed the connection"
        case .timedOut: "the service did not answer in time"
        case .protocolViolation(let reason): "the service does not speak Varlink as expected: \(reason)"
        case .cannotConnect(let path, let errno): "cannot connect to \(path): \(errno)"
        case .system(let errno): "the connection to the service failed: \(errno)"
        case .invalidParameters(let reason): "the parameters cannot be sent: \(reason)"
        }
    }
}
