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
