public import SystemPackage

/// How a call can fail on the client's side.
public enum VarlinkClientError: Error, Equatable, CustomStringConvertible {
    /// The service answered with an error: its full name and its fields.
    case error(name: String, parameters: JSONValue)
    /// The service closed the connection before it answered.
    case disconnected
    /// The deadline passed before the answer was there. The connection cannot be used any more, since the answer
    /// may still come.
    case timedOut
    /// The service sent what is no reply, or a reply that does not have the fields it should have: a sentence.
    case protocolViolation(String)
    /// Nobody could be reached at this path.
    case cannotConnect(path: String, Errno)
    /// A system call failed.
    case system(Errno)
    /// The parameters could not be encoded: a sentence.
    case invalidParameters(String)

    /// The sentence for people.
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
