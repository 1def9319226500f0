import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// `Fetch` called with `more`: the pipe, and then the outcome.
    @Suite("One call for a body and its outcome")
    struct OneCall {
        static let pattern = Pattern(seed: 63)
        private static let method = "\(Ingest.interfaceName).Fetch"

        /// The first reply: the job's id and its pipe.
        private func begin(_ url: String, on client: VarlinkClient) throws -> (id: String, body: CInt) {
            try client.send(Self.method, Ingest.FetchParameters(url: url), mode: .more)
            let reply = try client.next(deadline: Deadline.ofCall)
            let continues = reply.continues
            #expect(continues)
            let fetch = try reply.decode(as: Ingest.FetchReply.self)
            #expect(fetch.job == nil)
            guard let index = fetch.bodyFileDescriptor, let body = reply.takeDescriptor(index) else {
                throw TestFailure("a first reply without a pipe")
            }
            return (fetch.id, body.release())
        }

        private func reader(_ body: CInt) throws -> ThreadedReader {
            try ThreadedReader(OwnedDescriptor(adopting: body), expecting: Self.pattern)
        }

        /// The second reply: the job, when it has ended.
        private func end(_ id: String, on client: VarlinkClient) throws -> Job {
            let reply = try client.next(deadline: Deadline.ofCall)
            let (continues, descriptors) = (reply.continues, reply.descriptorCount)
            #expect(!continues)
            #expect(descriptors == 0)
            let fetch = try reply.decode(as: Ingest.FetchReply.self)
            #expect(fetch.id == id)
            #expect(fetch.bodyFileDescriptor == nil)
            guard let job = fetch.job else { throw TestFailure("a second reply without a job") }
            #expect(job.id == id)
            return job
        }

        @Test("reports complete bodies and failures, one after the other on one connection")
        func reportsOutcomesOnOneConnection() throws {
            let wires = try Wires()
            let client = try wires.service.client()
            for size in [0, 10_240, 3 << 20] {
                let path = try wires.nginx.serve("\(size)", Self.pattern, count: size)
                let (id, body) = try begin(wires.url(path, over: .http), on: client)
                let report = try reader(body).waitForEnd()
                let job = try end(id, on: client)
                #expect(job.outcome?.code == .complete)
                #expect(job.bytesDelivered == size)
                #expect(report.count == size)
            }
            let (id, body) = try begin(wires.url("/nothing", over: .http), on: client)
            let report = try reader(body).waitForEnd()
            #expect(try end(id, on: client).outcome?.code == .httpStatus)
            #expect(report.count == 0)
        }

        @Test(
            "delays later calls on its connection, and is refused with one reply when its request is invalid")
        func laterCallsWaitForOutcome() throws {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 10"])
                try connection.send(Self.pattern.bytes(0..<10))
            }
            let service = try TestService()
            let client = try service.client()
            try client.send(Self.method, Ingest.FetchParameters(url: "ftp://nowhere"), mode: .more)
            #expect(throws: VarlinkClientError.self) { _ = try client.next(deadline: Deadline.ofCall) }
            let (id, body) = try begin(origin.url("/"), on: client)
            try client.send("\(Ingest.interfaceName).Status", NoParameters(), mode: .single)
            #expect(try end(id, on: client).outcome?.code == .complete)
            _ = try client.next(deadline: Deadline.ofCall).decode(as: Ingest.StatusReply.self)
            #expect(try reader(body).waitForEnd().count == 10)
        }

        @Test("may lose its connection: the job continues")
        func jobOutlivesLostConnection() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 10"])
                _ = gate.wait()
                try connection.send(Self.pattern.bytes(0..<10))
            }
            let service = try TestService()
            let (id, body) = try begin(origin.url("/"), on: try service.client())
            // The service has noticed the end of that connection once it reports that only one connection is left.
            try eventually("the connection is gone") { try service.status().connections == 1 }
            gate.open()
            #expect(try reader(body).waitForEnd().count == 10)
            #expect(try service.wait(id).outcome?.code == .complete)
        }

        @Test("is answered when the service stops")
        func isAnsweredWhenServiceStops() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 10"])
                _ = gate.wait()
            }
            let service = try TestService()
            let client = try service.client()
            let (id, body) = try begin(origin.url("/"), on: client)
            let reader = try reader(body)
            service.stop()
            gate.open()
            #expect(try end(id, on: client).outcome?.code == .serviceStopped)
            #expect(try reader.waitForEnd().count == 0)
        }
    }
}
