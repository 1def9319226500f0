import Glibc
import LaneProtocol
import Logging
import SluiceCore
import SluiceInterface
import Unix

@testable import SluiceDaemon

extension JobRecord {
    /// A job of a user, for anything.
    static func example(
        _ id: String, of user: UInt32 = 7, url: String = "http://h/",
        _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws -> JobRecord {
        var parameters = Ingest.FetchParameters(url: url)
        change(&parameters)
        return JobRecord(
            id: id, request: try JobRequest(parameters, settings: Settings()),
            owner: PeerCredentials(processID: 1, userID: user, groupID: user))
    }

    /// Ends it, as far as the job itself is concerned.
    func endForTest() { _ = machine.endRequested(Outcome(.cancelled, "test")) }
}

extension ServiceLog {
    /// A log that goes nowhere.
    static var silent: ServiceLog { ServiceLog(Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }
}

extension ResponseFacts {
    /// A head with a body of this length, or of an unknown one.
    static func example(length: Int?, version: Version = .unnamed) -> ResponseFacts {
        ResponseFacts(
            status: 200,
            representation: Representation(
                url: "http://h/", sendsHeaders: true, version: version, length: length,
                framing: length == nil ? .chunked : .length), etag: nil)
    }
}

extension OwnedDescriptor {
    /// Reads what is there, as a consumer does; waits for the first byte.
    ///
    /// - Returns: the number of bytes; 0 at the end.
    func readSome() -> Int {
        var buffer = [UInt8](repeating: 0, count: 4096)
        return read(rawValue, &buffer, buffer.count)
    }
}
