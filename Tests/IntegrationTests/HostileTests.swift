import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// Defects that a hostile reading of the code has found, each as the promise that it broke.
    @Suite("Hostile")
    struct Hostile {
        static let pattern = Pattern(seed: 23)

        @Test(
            "the interim responses 100 and 103 are not taken for the answer",
            arguments: ["100 Continue", "103 Early Hints"])
        func skipsInterimAnswers(_ status: String) throws {
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 \(status)\r\nLink: </x>\r\n\r\n")
                try connection.respond(pattern: Self.pattern, count: 5000)
            }
            let service = try TestService()
            try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(5000)
        }

        @Test("a job is complete if its consumer closes after the last byte, even before it reads the end")
        func completesWhenConsumerClosesAtOnce() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 30_000) }
            let service = try TestService()
            for _ in 0..<200 {
                let job = try service.open(origin.url())
                var left = 30_000
                var buffer = [UInt8](repeating: 0, count: 30_000)
                while left > 0 {
                    let count = read(job.body, &buffer, left)
                    try #require(count > 0)
                    left -= count
                }
                close(job.body)
                #expect(try service.wait(job.id).outcome?.code == .complete)
            }
        }

        @Test("jobs that end in the middle of redirects harm no lane and no other job")
        func endingInRedirectsHarmsNoLane() throws {
            let origin = try BadOrigin { connection in
                if connection.request.path == "/body" {
                    try connection.respond(pattern: Self.pattern, count: 100)
                } else {
                    try connection.respond("302 Found", headers: ["Location: /again"], body: [])
                }
            }
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            for round in 0..<150 {
                let job = try service.open(origin.url("/again"))
                let until = ContinuousClock.now + .microseconds(80 * round)
                while ContinuousClock.now < until {}
                close(job.body)
                #expect(try service.wait(job.id).state == .failed)
                try service.fetch(origin.url("/body"), expecting: Self.pattern).finishComplete(100)
            }
            #expect(try service.status().lanes.died == 0)
        }

        @Test("a lane does not grow with the body that passes through it")
        func laneDoesNotGrowWithBody() throws {
            let nginx = try Nginx()
            let service = try TestService("lanes.minimum = 1")
            let path = try nginx.serve("large", Self.pattern, count: 1 << 30)
            let first = try service.fetch(nginx.httpURL(path), expecting: Self.pattern)
            let lane = try first.lane()
            try first.reader.waitForCount(64 << 20)
            let before = try MemoryProbe(processID: lane).privateDirty
            try first.finishComplete(1 << 30)
            let growth = try MemoryProbe(processID: lane).privateDirty - before
            print("figure: a lane grew by \(growth >> 10) KiB in 960 MiB of a body")
            #expect(growth < 3 << 20)
        }

        @Test("an invalid URL is not repeated in the log")
        func logOmitsInvalidURLs() throws {
            let service = try TestService()
            for url in ["example.com/?token=SECRET123", "user:SECRET123@example.com", "x://SECRET123"] {
                #expect(throws: VarlinkClientError.self) { try service.open(url) }
            }
            try eventually("the refusals are logged") { service.log.contains("client refused") }
            #expect(!service.log.contains("SECRET123"))
        }

        @Test("a daemon that stops leaves its successor's socket alone")
        func leavesSuccessorsSocketAlone() throws {
            let service = try TestService()
            // A client that does not read delays the end of the old service.
            let idle = try service.client()
            try idle.send("\(Ingest.interfaceName).Watch", mode: .more)
            unlink(service.socket)
            let successor = try Program(
                TestService.command(["--socket", service.socket])[0], ["--socket", service.socket],
                environment: TestService.environment())
            try eventually("the successor answers") {
                (try? service.status().processID) == Int(successor.processID)
            }
            service.stop()
            #expect(try service.status().processID == Int(successor.processID))
            successor.signal(SIGTERM)
            #expect(try successor.wait().exit == .exited(0))
            #expect(access(service.socket, F_OK) != 0)
        }

        @Test("lanes that a reload adds serve the jobs that already wait")
        func addedLanesServeWaitingJobs() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            let first = try service.open(origin.url())
            let second = try service.open(origin.url())
            try origin.waitForRequests(1)
            #expect(try service.show(second.id).state == .queued)
            try service.directory.write("lanes.maximum = 2", to: "sluiced.toml")
            service.program.signal(SIGHUP)
            try origin.waitForRequests(2)
            #expect(try service.show(second.id).state == .connecting)
            close(first.body)
            close(second.body)
        }

        @Test("thousands of oneway calls do not delay other clients")
        func onewayFloodDelaysNoClient() throws {
            try judge("an answer beside a flood of calls", takesLessThan: .seconds(2)) {
                let service = try TestService()
                let flood = try RawConnection(service)
                let call = #"{"method":"io.sluice.Ingest.List","oneway":true}"#
                try flood.send(Array(String(repeating: call + "\0", count: 4000).utf8))
                return try elapsed { _ = try service.status() }
            }
        }

        @Test("ended jobs behind a waiting job are forgotten")
        func forgetsEndedJobsInQueue() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService(
                "lanes.minimum = 1\nlanes.maximum = 1\nlimits.remembered_jobs_per_user = 10")
            let busy = try service.open(origin.url())
            let waiting = try service.open(origin.url())
            let client = try service.client()
            func openAndClose(_ count: Int) throws {
                var parameters = Ingest.FetchParameters(url: origin.url())
                parameters.headers = [HeaderField(name: "X-Long", value: String(repeating: "x", count: 8000))]
                for _ in 0..<count {
                    let reply = try client.callWithDescriptors(
                        "\(Ingest.interfaceName).Fetch", parameters, deadline: Deadline.ofCall)
                    _ = reply.takeDescriptor(0)
                }
                try eventually("they have ended") { try service.status().jobs.queued == 1 }
            }
            try openAndClose(300)
            let before = try MemoryProbe(processID: service.processID).privateDirty
            try openAndClose(1500)
            let growth = try MemoryProbe(processID: service.processID).privateDirty - before
            // 1,500 requests of 8 KiB each would be 12 MiB.
            #expect(growth < 6 << 20)
            close(busy.body)
            close(waiting.body)
        }
    }
}
