import CTestKit
import SluiceInterface
import TestKit
import Unix
import Varlink

/// A client with another user's credentials; only root can have one.
struct OtherUser {
    private let user: UInt32
    private let service: TestService

    init(_ user: UInt32, _ service: TestService) {
        self.user = user
        self.service = service
    }

    /// A new connection.
    func client() throws -> VarlinkClient {
        VarlinkClient(
            adopting: OwnedDescriptor(
                adopting: try valueOrErrno(ctestkit_connect_unix_as(service.socket, user))))
    }

    func call<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), as type: Reply.Type
    ) throws -> Reply {
        try client().call(
            "\(Ingest.interfaceName).\(method)", parameters, as: type, deadline: Deadline.ofCall)
    }

    /// Asks for a body and gets the pipe.
    func open(_ url: String) throws -> (id: String, body: CInt) {
        let reply = try client().callWithDescriptors(
            "\(Ingest.interfaceName).Fetch", Ingest.FetchParameters(url: url), deadline: Deadline.ofCall)
        let fetch = try reply.decode(as: Ingest.FetchReply.self)
        guard let index = fetch.bodyFileDescriptor, let body = reply.takeDescriptor(index) else {
            throw TestFailure("a reply without a pipe")
        }
        return (fetch.id, body.release())
    }

    /// Asks for a body and begins to read it.
    func fetch(_ url: String, expecting pattern: Pattern, pace: ThreadedReader.Pace = .full) throws -> TestJob
    {
        let job = try open(url)
        return TestJob(
            id: job.id,
            reader: try ThreadedReader(
                OwnedDescriptor(adopting: job.body), expecting: pattern, pace: pace), service: service)
    }
}
