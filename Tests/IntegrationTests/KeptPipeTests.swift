import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// What consumers do with their pipes, during a job and after it.
    @Suite("Pipes in the hands of consumers")
    struct KeptPipes {
        private static let size = 60_000

        /// Pipes that are closed with this value.
        private final class Held {
            var descriptors: [CInt] = []
            func release() {
                for descriptor in descriptors { _ = OwnedDescriptor(adopting: descriptor) }
                descriptors = []
            }
            deinit { release() }
        }

        @Test("Status counts the pipes of ended jobs until their consumers have read and closed them")
        func statusCountsPipesOfEndedJobs() throws {
            let nginx = try Nginx()
            let url = nginx.httpURL(try nginx.serve("body", Pattern(), count: Self.size))
            let service = try TestService()
            let held = Held()
            for _ in 0..<8 {
                let job = try service.open(url)
                held.descriptors.append(job.body)
                #expect(try service.wait(job.id).state == .complete)
            }
            #expect(try service.status().pipeBytes == 8 * (64 << 10))
            // The service notices that a consumer has grown its pipe, and resets the pipe.
            if let first = held.descriptors.first {
                let pipe = OwnedDescriptor(adopting: first)
                _ = try pipe.setPipeCapacity(1 << 20)
                #expect(try service.status().pipeBytes == 8 * (64 << 10))
                _ = pipe.release()
            }
            for descriptor in held.descriptors {
                var bytes = [UInt8](repeating: 0, count: 2 * Self.size)
                var count = 0
                while case let got = read(descriptor, &bytes, bytes.count), got > 0 { count += got }
                #expect(count == Self.size)
            }
            #expect(try service.status().pipeBytes == 8 * 4096)
            held.release()
            #expect(try service.status().pipeBytes == 0)
        }

        @Test("Status also counts what a consumer adds to the capacity of a running job's pipe")
        func statusCountsPipeGrownByConsumer() throws {
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
                connection.waitForClose()
            }
            let service = try TestService()
            let job = try service.open(origin.url())
            let consumer = OwnedDescriptor(adopting: job.body)
            try eventually("the job runs") { try service.show(job.id).state == .streaming }
            let before = try service.status().pipeBytes
            _ = try consumer.setPipeCapacity(1 << 20)
            #expect(try service.status().pipeBytes == before + (1 << 20) - (64 << 10))
        }

        @Test("a user who keeps a quarter of the budget in pipes gets no new jobs, while other users do")
        func refusesUserWhoKeepsManyPipes() throws {
            let nginx = try Nginx()
            let url = nginx.httpURL(try nginx.serve("body", Pattern(), count: Self.size))
            let service = try TestService("pipes.budget = \"1M\"\nlanes.maximum = 4")
            let keeper = OtherUser(1000, service)
            let held = Held()
            for _ in 0..<5 {
                let job = try keeper.open(url)
                held.descriptors.append(job.body)
                #expect(try service.wait(job.id).state == .complete)
            }
            let error = #expect(throws: VarlinkClientError.self) { try keeper.open(url) }
            let said = String(describing: error)
            #expect(said.contains("hold 5 pipes of ended jobs"), "\(said)")
            let other = try OtherUser(1001, service).fetch(url, expecting: Pattern())
            try other.finishComplete(Self.size)
            held.release()
            let again = try keeper.fetch(url, expecting: Pattern())
            try again.finishComplete(Self.size)
        }

        @Test(
            "a consumer that runs as another user than the service can reopen /dev/stdin, but cannot write to it"
        )
        func consumerReopensInputReadOnly() throws {
            try #require(getuid() == 0, "this test needs root to become other users: run the tests as root")
            let nginx = try Nginx()
            let url = nginx.httpURL(try nginx.serve("body", Pattern(), count: Self.size))
            // The service runs as nobody, and the consumer as another user.
            let service = try TestService(unprivileged: true)
            func run(_ script: String) throws -> ProgramResult {
                let body = OwnedDescriptor(adopting: try OtherUser(1000, service).open(url).body)
                return try Program.run(
                    "/usr/bin/setpriv",
                    ["--reuid=1000", "--regid=1000", "--clear-groups", "/bin/sh", "-c", script],
                    standardInput: body.rawValue)
            }
            #expect(try run("wc -c /dev/stdin").successful().output == "\(Self.size) /dev/stdin\n")
            #expect(try run("cat /dev/fd/0 | wc -c").successful().output == "\(Self.size)\n")
            let refused = try run("echo forged >> /dev/stdin")
            #expect(refused.exit != .exited(0) && refused.errors.contains("ermission denied"), "\(refused)")
        }
    }
}
