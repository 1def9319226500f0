import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Transfers that are ended while they run. The lane must not ask URLSession to do that (docs/foundation.md,
    /// F36).
    @Suite("Consumers that close early")
    struct EarlyClose {
        static let pattern = Pattern(seed: 36)

        /// `make test-closes` does it 10,000 times.
        @Test("cost no lane, over TLS and HTTP/2", arguments: Wire.available)
        func costNoLane(_ wire: Wire) async throws {
            let count = getenv("SLUICE_TEST_CLOSES").flatMap { Int(String(cString: $0)) } ?? 120
            let wires = try Wires("lanes.minimum = 4\nlanes.maximum = 4\n")
            let length = 200_000
            try wires.nginx.serve("file", Self.pattern, count: length)
            let url = wires.url("/file", over: wire)
            let service = wires.service
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        try await offPool {
                            for number in stride(from: worker, to: count, by: 4) {
                                let job = try service.open(url)
                                // Some close at once, some within the body, some near its end.
                                let wanted = [0, 1, 30_000, 150_000, length - 1, length][number % 6]
                                var (left, buffer) = (wanted, [UInt8](repeating: 0, count: 65536))
                                while left > 0, case let got = read(job.body, &buffer, min(left, 65536)),
                                    got > 0
                                {
                                    left -= got
                                }
                                close(job.body)
                                let ended = try service.wait(job.id)
                                guard left == 0, let code = ended.outcome?.code,
                                    [.consumerGone, .complete].contains(code)
                                else { throw TestFailure("\(wanted) bytes: \(ended)") }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try service.status().lanes.died == 0)
        }
    }
}
