/// An error as it travels: a name that an interface description declares, and its fields.
public protocol VarlinkErrorProtocol: Error, Sendable {
    /// The full name: `org.example.interface.NameOfError`.
    var errorName: String { get }
    /// The fields that the interface description declares for it.
    var errorParameters: [String: JSONValue] { get }
}

extension VarlinkErrorProtocol {
    /// No fields.
    public var errorParameters: [String: JSONValue] { [:] }
}

/// An error made of a name and fields.
public struct VarlinkErrorReply: VarlinkErrorProtocol, Equatable {
    /// The full name.
    public var errorName: String
    /// The fields.
    public var errorParameters: [String: JSONValue]

    /// An error of this name with these fields.
    public init(_ name: String, parameters: [String: JSONValue] = [:]) {
        errorName = name
        errorParameters = parameters
    }
}

/// The errors of `org.varlink.service`. Every service may answer with them.
public enum VarlinkServiceError: VarlinkErrorProtocol, Equatable {
    /// The service has no interface of this name.
    case interfaceNotFound(String)
    /// The interface declares no method of this (full) name.
    case methodNotFound(String)
    /// The interface declares the method, and the service does not implement it.
    case methodNotImplemented(String)
    /// A parameter is unknown, missing or of the wrong type. The value is its dotted path, as in `request.headers.2`.
    case invalidParameter(String)
    /// The peer may not do this.
    case permissionDenied
    /// The method gives more than one reply, so the call needs `more`.
    case expectedMore

    /// The full name.
    public var errorName: String {
        let name =
            switch self {
            case .interfaceNotFound: "InterfaceNotFound"
            case .methodNotFound: "MethodNotFound"
            case .methodNotImplemented: "MethodNotImplemented"
            case .invalidParameter: "InvalidParameter"
            case .permissionDenied: "PermissionDenied"
            case .expectedMore: "ExpectedMore"
            }
        return "org.varlink.service.\(name)"
    }

    /// The one field of the first four errors.
    public var errorParameters: [String: JSONValue] {
        switch self {
        case .interfaceNotFound(let interface): ["interface": .string(interface)]
        case .methodNotFound(let method), .methodNotImplemented(let method): ["method": .string(method)]
        case .invalidParameter(let parameter): ["parameter": .string(parameter)]
        case .permissionDenied, .expectedMore: [:]
        }
    }
}
