import Glibc
import SluiceClient
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix
import Varlink

@Suite("A connection to the service") struct ConnectionTests {
    private static let interface = Ingest.interfaceName

    @Test("sends a request as given, and receives the pipe and the outcome")
    func fetchReceivesPipeAndOutcome() throws {
        let service = try FakeService(.init(body: Array("hello".utf8)))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        var request = Ingest.FetchParameters(url: "http://h/")
        request.headers = [HeaderField(name: "A", value: "b")]
        request.deadlineSeconds = 1.5
        let body = try connection.fetch(request)
        #expect(service.requests == [request])
        let directory = try TemporaryDirectory()
        let file = try OutputFile(path: directory.file("f"))
        let result = try BodyCopier(to: file.descriptor.rawValue).copy(from: body.pipe)
        #expect(result.bytes == 5)
        #expect(fcntl(body.pipe.rawValue, F_GETFD) == FD_CLOEXEC)
        let job = try OutcomeWaiter(for: body.id, on: connection).wait()
        #expect(job.outcome?.code == .complete)
        #expect(try connection.list().map(\.id) == [body.id])
        #expect(try connection.show(body.id) == job)
        #expect(try connection.status().version == "0")
    }

    @Test("watches a job to its end, and cancels it")
    func watchesAndCancelsJob() throws {
        let service = try FakeService(.init(ending: .silence))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        let body = try connection.fetch(Ingest.FetchParameters(url: "http://h/"))
        let watch = try SluiceConnection(connectedTo: service.path).watch(body.id, interval: 0.1)
        #expect(try watch.next()?.state == .streaming)
        #expect(try connection.cancel(body.id, deadline: Deadline.ofCall).outcome?.code == .cancelled)
        #expect(try watch.next()?.state == .cancelled)
        #expect(try watch.next() == nil)
        #expect(watch.hasEnded)
        _ = body.pipe.rawValue
    }

    @Test(
        "turns every error of the service into a sentence",
        arguments: [
            (
                VarlinkErrorReply(
                    "\(interface).InvalidRequest",
                    parameters: ["parameter": "url", "reason": "is bad", "remedy": "mend it"]),
                SluiceError.Kind.refused,
                "url: is bad; mend it"
            ),
            (VarlinkErrorReply("\(interface).TooManyJobs", parameters: ["limit": 7]), .busy, "(7)"),
            (VarlinkErrorReply("\(interface).TooManyWatchers", parameters: ["limit": 7]), .busy, "(7)"),
            (VarlinkErrorReply("\(interface).TooManyConnections", parameters: ["limit": 7]), .busy, "(7)"),
            (
                VarlinkErrorReply("\(interface).ResourcesExhausted", parameters: ["reason": "no memory"]),
                .busy,
                "no memory"
            ),
            (VarlinkErrorReply("\(interface).Stopping"), .busy, "stopping"),
            (VarlinkErrorReply("\(interface).NoSuchJob", parameters: ["id": "x"]), .noSuchJob, "id x"),
            (
                VarlinkErrorReply(
                    "org.varlink.service.InvalidParameter", parameters: ["parameter": "headers"]),
                .refused, "headers"
            ),
            (VarlinkErrorReply("org.varlink.service.PermissionDenied"), .permissionDenied, "not allow"),
            (VarlinkErrorReply("org.varlink.service.MethodNotFound"), .serviceTrouble, "version"),
            (
                VarlinkErrorReply("io.systemd.System", parameters: ["errno": 5]), .serviceTrouble,
                "io.systemd.System"
            ),
            // Fields that are missing or of a wrong type do no harm.
            (
                VarlinkErrorReply("\(interface).TooManyJobs", parameters: ["limit": "x"]), .busy,
                "as many jobs"
            ),
            (VarlinkErrorReply("\(interface).InvalidRequest"), .refused, "?: ?"),
        ])
    func turnsErrorsIntoSentences(reply: VarlinkErrorReply, kind: SluiceError.Kind, part: String) throws {
        let service = try FakeService(.init(failure: reply))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        do {
            _ = try connection.fetch(Ingest.FetchParameters(url: "x")).id
            Issue.record("there was no error")
        } catch {
            #expect(error.kind == kind)
            #expect(error.description.contains(part), "\(error)")
            #expect(!error.isConnectionLost)
        }
    }

    @Test("reports an error instead of an outcome when the service does not come back")
    func outcomeIsUnknownWithoutService() throws {
        let service = try FakeService(.init(body: [1, 2, 3], ending: .vanish))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        let body = try connection.fetch(Ingest.FetchParameters(url: "http://h/"))
        var pauses = 0
        let waiter = OutcomeWaiter(for: body.id, on: connection, patience: .milliseconds(50)) { _ in
            pauses += 1
        }
        let error = #expect(throws: SluiceError.self) { try waiter.wait() }
        #expect(error?.kind == .serviceTrouble)
        #expect(pauses > 0)
        _ = body.pipe.rawValue
    }

    @Test("asks a restarted service, and reports that it does not know the job")
    func asksRestartedServiceForOutcome() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("s")
        let listener = try UnixSocket.listen(path: path)
        let connection = try SluiceConnection(connectedTo: path)
        // The first service ends with its connection. Another one answers the second attempt.
        let accepted = Locked<CInt>(-1)
        let thread = TestThread { [raw = listener.rawValue] in
            guard waitFor(CInt(POLLIN), on: raw, until: Deadline()) else { return }
            accepted.set(accept(raw, nil, nil))
            guard waitFor(CInt(POLLIN), on: accepted.get(), until: Deadline()) else { return }
            // The order matters: a client that sees the end of the connection must find no socket any more.
            unlink(path)
            close(accepted.get())
        }
        let replacement = Locked<FakeService?>(nil)
        defer { replacement.get()?.stop() }
        let waiter = OutcomeWaiter(for: "job1", on: connection, patience: .seconds(10)) { _ in
            thread.join()
            guard replacement.get() == nil, let service = try? FakeService() else { return }
            replacement.set(service)
            symlink(service.path, path)
        }
        let error = #expect(throws: SluiceError.self) { try waiter.wait() }
        #expect(
            error?.message.contains("does not know job job1 any more") == true, "\(String(describing: error))"
        )
        _ = listener.rawValue
    }
}
