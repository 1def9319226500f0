import Glibc
import SluiceClient
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

/// What a client sees of a service that is restarted, against a fake service.
@Suite("A restart of the service") struct RestartTests {
    private static let body: [UInt8] = (0..<200_003).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ $0 >> 7) }
    private static let half = 70_001

    private func program(
        _ service: FakeService, _ arguments: [String], standardError: CInt = -1
    ) throws -> Program {
        try Program(
            try Products.path("sluicectl"), arguments,
            environment: ["SLUICE_SOCKET": service.path, "PATH": "/usr/bin:/bin"],
            standardError: standardError)
    }

    private func fetching(_ service: FakeService, _ arguments: [String] = []) throws -> Program {
        try program(service, ["fetch", "http://h/x"] + arguments)
    }

    @Test("in mid-body causes a pause and nothing else", arguments: [[], ["--", "cat"], ["-o"]])
    func onlyPausesInMidBody(arguments: [String]) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("f")
        let service = try FakeService(.init(body: Self.body, holdsAfter: Self.half))
        defer { service.stop() }
        let program = try fetching(service, arguments == ["-o"] ? ["-o", path] : arguments)
        try eventually("the client waits for its job") { try service.waitingCalls == 1 }
        try service.goDown()
        try service.comeBack()
        // Two restarts, since the client has made no call between them.
        try service.goDown()
        try service.comeBack()
        service.proceed()
        let result = try program.wait()
        #expect(result.exit == .exited(0))
        #expect(result.errors == "")
        let received = arguments == ["-o"] ? try readBytes(path) : Array(result.output.utf8)
        #expect(received.count == (arguments == ["-o"] ? Self.body.count : Self.text.count))
        if arguments == ["-o"] { #expect(received == Self.body) }
        #expect(service.requests.count == 1)
    }

    /// The output of a program, decoded as text.
    private static let text = Array(String(decoding: body, as: UTF8.self).utf8)

    @Test("makes the client wait for the outcome if the body ends while the service is down")
    func awaitsOutcomeWhileDown() throws {
        let service = try FakeService(.init(body: Array("whole\n".utf8), holdsAfter: 3))
        defer { service.stop() }
        let program = try fetching(service)
        try eventually("the client waits for its job") { try service.waitingCalls == 1 }
        try service.goDown()
        service.proceed()
        #expect(try program.line() == "whole")
        // The pipe has ended, and no service is there that could say whether the body is complete.
        #expect(program.isRunning)
        try service.comeBack()
        let result = try program.wait().successful()
        #expect(result.errors == "")
    }

    @Test(
        "that loses a job before its first byte makes the client fetch again, with a note and only once",
        arguments: [false, true])
    func refetchesJobLostBeforeFirstByte(quiet: Bool) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("f")
        let service = try FakeService(.init(body: Self.body, holdsAfter: 0))
        defer { service.stop() }
        let program = try fetching(
            service, ["-o", path, "--deadline", "100", "--retries", "2"] + (quiet ? ["-q"] : []))
        try eventually("the client waits for its job") { try service.waitingCalls == 1 }
        try service.goDown(forgetting: true)
        service.proceed()
        try service.comeBack()
        let result = try program.wait().successful()
        #expect(try readBytes(path) == Self.body)
        #expect(
            result.errors
                == (quiet
                    ? ""
                    : "sluicectl: the service was restarted and has lost the job before its first byte: "
                        + "fetching again\n"))
        let requests = service.requests
        #expect(requests.count == 2)
        // One deadline covers all attempts.
        #expect(requests[1].deadlineSeconds.map { $0 < 100 && $0 > 50 } == true)
        #expect(requests[1].retries == 2)
    }

    @Test("before the service has answered makes the client ask again, with a note")
    func repeatsUnansweredRequest() throws {
        let service = try FakeService(.init(body: Array("body".utf8), ignoresFirstFetch: true))
        defer { service.stop() }
        let program = try fetching(service)
        try eventually("the service is asked") { service.requests.count == 1 }
        try service.goDown()
        try service.comeBack()
        let result = try program.wait().successful()
        #expect(result.output == "body")
        #expect(result.errors == "sluicectl: the service went away before it answered: asking again\n")
        #expect(service.requests.count == 2)
    }

    @Test("makes the client repeat its request until the next service answers, with one note")
    func repeatsRequestWhileStopping() throws {
        let stopping = VarlinkErrorReply("io.sluice.Ingest.Stopping")
        let service = try FakeService(.init(body: Array("body".utf8), failure: stopping, failures: 3))
        defer { service.stop() }
        let result = try fetching(service).wait().successful()
        #expect(result.output == "body")
        #expect(result.errors == "sluicectl: the service is stopping: waiting for the next one\n")
        #expect(service.requests.count == 4)
    }

    @Test("in which the service never finishes stopping makes the client give up when its patience is over")
    func givesUpOnEndlessStopping() throws {
        let stopping = VarlinkErrorReply("io.sluice.Ingest.Stopping")
        let service = try FakeService(.init(failure: stopping))
        defer { service.stop() }
        let result = try Program.run(
            try Products.path("sluicectl"), ["fetch", "http://h/x"],
            environment: ["SLUICE_SOCKET": service.path, "SLUICE_PATIENCE": "0.3"])
        #expect(result.exit == .exited(6), "\(result.errors)")
        #expect(result.errors.hasSuffix("the service is stopping; try again once it runs\n"))
    }

    @Test("that loses the second job, too, is a failure")
    func failsWhenSecondJobIsLost() throws {
        let service = try FakeService(.init(body: Self.body, holdsAfter: 0))
        defer { service.stop() }
        let program = try fetching(service)
        for count in 1...2 {
            try eventually("the client waits for job \(count)") {
                try service.requests.count == count && service.waitingCalls == 1
            }
            try service.goDown(forgetting: true)
            try service.comeBack()
        }
        let result = try program.wait()
        #expect(result.exit == .exited(20))
        #expect(result.errors.contains("does not know job job2 any more"))
        #expect(service.requests.count == 2)
    }

    @Test(
        "that loses a job in mid-body is a failure, and leaves no file",
        arguments: [[], ["-o"], ["--", "cat"]])
    func failsWhenLostInMidBody(arguments: [String]) throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Array("part, and the rest".utf8), holdsAfter: 4))
        defer { service.stop() }
        let path = directory.file("f")
        let program = try fetching(service, arguments == ["-o"] ? ["-o", path] : arguments)
        try eventually("some bytes are delivered") { service.sentBytes == 4 }
        try service.goDown(forgetting: true)
        try service.comeBack()
        let result = try program.wait()
        #expect(result.exit == .exited(20))
        #expect(result.output == (arguments == ["-o"] ? "" : "part"))
        #expect(
            result.errors
                == "sluicectl: the service was restarted and does not know job job1 any more; "
                + "fetch again: what was delivered may be incomplete\n")
        #expect(service.requests.count == 1)
        #expect(rmdir(directory.path) == 0)
    }

    @Test("that loses a job before its first byte is a failure if its command has already started")
    func failsWhenCommandHasStarted() throws {
        let service = try FakeService(.init(body: Array("body".utf8), holdsAfter: 0))
        defer { service.stop() }
        let program = try fetching(service, ["--", "sh", "-c", "echo started; cat"])
        #expect(try program.line() == "started")
        try eventually("the client waits for its job") { try service.waitingCalls == 1 }
        try service.goDown(forgetting: true)
        try service.comeBack()
        #expect(try program.wait().exit == .exited(20))
        #expect(service.requests.count == 1)
    }

    @Test(
        "does not prevent a signal from cancelling the job",
        arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
    func signalStillCancelsJob(signal: Int32, status: Int32) throws {
        let service = try FakeService(.init(body: Array("go\nrest".utf8), holdsAfter: 3))
        defer { service.stop() }
        let program = try fetching(service)
        #expect(try program.line() == "go")
        try service.goDown()
        try service.comeBack()
        program.signal(signal)
        let result = try program.wait()
        #expect(result.exit == .exited(status))
        #expect(service.cancellations == ["job1"])
        #expect(result.errors.hasSuffix("the job is cancelled\n"))
    }

    @Test("lets a signal end the client even while the service is down")
    func signalEndsClientWhileDown() throws {
        let service = try FakeService(.init(body: Array("go\nrest".utf8), holdsAfter: 3))
        defer { service.stop() }
        let program = try fetching(service)
        #expect(try program.line() == "go")
        try service.goDown()
        program.signal(SIGINT)
        let result = try program.wait()
        #expect(result.exit == .exited(130))
        #expect(result.errors == "sluicectl: interrupted; the job ends with this program\n")
    }

    @Test("is shown in the progress line, which continues afterwards")
    func showsLossInProgress() throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Self.body, holdsAfter: Self.half))
        defer { service.stop() }
        let terminal = try PseudoTerminal(columns: 100)
        let program = try program(
            service, ["fetch", "http://h/x", "-o", directory.file("f")],
            standardError: terminal.terminal.rawValue)
        var text = ""
        func eventuallyShown(_ words: String) throws {
            try eventually("“\(words)” is shown; there is “\(text)”") {
                text += terminal.takeText()
                return text.contains(words)
            }
        }
        try eventuallyShown("elapsed")
        try service.goDown()
        try eventuallyShown("the service has gone away: waiting for it")
        text = ""
        try service.comeBack()
        try eventuallyShown("elapsed")
        service.proceed()
        #expect(try program.wait().exit == .exited(0))
        text += terminal.takeText()
        #expect(text.contains("\r\u{1B}[K200 kB in "))
    }

    @Test("does not end wait and watch")
    func waitAndWatchContinue() throws {
        let service = try FakeService(.init(body: Array("go\nrest".utf8), holdsAfter: 3))
        defer { service.stop() }
        let fetch = try fetching(service)
        #expect(try fetch.line() == "go")
        let wait = try program(service, ["wait", "job1"])
        let watch = try program(service, ["watch", "job1"])
        #expect(try watch.line()?.hasPrefix("job1  streaming") == true)
        try eventually("wait has asked") { try service.waitingCalls == 3 }
        try service.goDown()
        try service.comeBack()
        #expect(try watch.line()?.hasPrefix("job1  streaming") == true)
        service.proceed()
        #expect(try fetch.wait().exit == .exited(0))
        #expect(try wait.wait().successful().output.hasPrefix("job1  complete"))
        let watched = try watch.wait().successful()
        #expect(watched.output.hasPrefix("job1  complete"))
        #expect(watched.errors == "sluicectl: the service has gone away; looking for it\n")
    }

    @Test("that loses the job is reported by wait and watch")
    func waitAndWatchReportLostJob() throws {
        let service = try FakeService(.init(body: Array("go\nrest".utf8), holdsAfter: 3))
        defer { service.stop() }
        let fetch = try fetching(service)
        #expect(try fetch.line() == "go")
        let wait = try program(service, ["wait", "job1"])
        let watch = try program(service, ["watch", "job1"])
        try eventually("both have asked") { try service.waitingCalls == 3 }
        try service.goDown(forgetting: true)
        try service.comeBack()
        for program in [wait, watch] {
            let result = try program.wait()
            #expect(result.exit == .exited(20))
            #expect(result.errors.contains("does not know job job1 any more"))
        }
    }

    @Test("after which no service answers makes the client give up when its patience is over")
    func givesUpWithoutNewService() throws {
        let service = try FakeService(.init(body: [1], holdsAfter: 0))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        let body = try connection.fetch(Ingest.FetchParameters(url: "http://h/"))
        var pauses = 0
        var losses = 0
        let follower = try JobFollower(
            body.id, interval: 1, on: try SluiceConnection(connectedTo: service.path),
            patience: .milliseconds(50)
        ) { _ in
            pauses += 1
            // This replaces the program's own pause between two attempts.
            letPass(.milliseconds(1))
        } onLoss: {
            losses += 1
        }
        #expect(try follower.next()?.state == .streaming)
        try service.goDown()
        let error = #expect(throws: SluiceError.self) { try follower.next() }
        #expect(error?.kind == .serviceTrouble)
        #expect(pauses > 0 && losses == 1)
        let reconnecting = #expect(throws: SluiceError.self) {
            try SluiceConnection.reconnected(to: service.path, patience: .milliseconds(20))
        }
        #expect(reconnecting?.kind == .noService)
        _ = body.pipe.rawValue
    }

    @Test("that the service announces does not end the wait for the outcome")
    func announcedStopDoesNotEndWait() throws {
        let service = try FakeService(.init(body: [1], holdsAfter: 0))
        defer { service.stop() }
        let connection = try SluiceConnection(connectedTo: service.path)
        let body = try connection.fetch(Ingest.FetchParameters(url: "http://h/"))
        let waiter = OutcomeWaiter(for: body.id, on: connection)
        try eventually("it has asked") { try service.waitingCalls == 1 }
        try service.goDown(saying: "\(Ingest.interfaceName).Stopping")
        try service.comeBack()
        service.proceed()
        var byte: UInt8 = 0
        #expect(read(body.pipe.rawValue, &byte, 1) == 1)
        #expect(try waiter.wait().outcome?.code == .complete)
    }
}
