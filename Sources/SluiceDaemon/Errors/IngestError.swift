internal import SluiceCore
internal import SluiceInterface
internal import Varlink

/// Errors of `io.sluice.Ingest`.
enum IngestError: VarlinkErrorProtocol {
    case noSuchJob(String)
    case invalidRequest(RequestError)
    case tooManyJobs(Int)
    case tooManyWatchers(Int)
    case resourcesExhausted(String)
    case notAllowed(UInt32)
    case draining
    case stopping

    static func tooManyConnections(limit: Int) -> VarlinkErrorReply {
        VarlinkErrorReply(
            "\(Ingest.interfaceName).TooManyConnections", parameters: ["limit": .integer(Int64(limit))])
    }

    /// The error as a reply to a client that has made no call, as when a connection is refused.
    var reply: VarlinkErrorReply { VarlinkErrorReply(errorName, parameters: errorParameters) }

    var errorName: String {
        let name =
            switch self {
            case .noSuchJob: "NoSuchJob"
            case .invalidRequest: "InvalidRequest"
            case .tooManyJobs: "TooManyJobs"
            case .tooManyWatchers: "TooManyWatchers"
            case .resourcesExhausted: "ResourcesExhausted"
            case .notAllowed: "NotAllowed"
            case .draining: "Draining"
            case .stopping: "Stopping"
            }
        return "\(Ingest.interfaceName).\(name)"
    }

    var errorParameters: [String: JSONValue] {
        switch self {
        case .noSuchJob(let id): ["id": .string(id)]
        case .invalidRequest(let error):
            [
                "parameter": .string(error.parameter), "reason": .string(error.reason),
                "remedy": .string(error.remedy),
            ]
        case .tooManyJobs(let limit), .tooManyWatchers(let limit): ["limit": .integer(Int64(limit))]
        case .resourcesExhausted(let reason): ["reason": .string(reason)]
        case .notAllowed(let userID): ["userID": .integer(Int64(userID))]
        case .draining, .stopping: [:]
        }
    }
}
