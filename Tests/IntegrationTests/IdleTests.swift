import Glibc
import TestKit
import Testing

extension Integration {
    /// What the service does while there is nothing to do.
    @Suite("The idle service")
    struct Idle {
        /// How many times the threads of these processes have begun to wait (`proc_pid_status(5)`): once for each
        /// wake-up.
        private func waits(_ processes: [pid_t]) throws -> Int {
            var sum = 0
            for process in processes {
                for thread in try Processes.threads(of: process) {
                    let lines = try readText("/proc/\(process)/task/\(thread)/status").split(separator: "\n")
                    let line = try #require(lines.first { $0.hasPrefix("voluntary_ctxt_switches:") })
                    sum += try #require(line.split(separator: "\t").last.flatMap { Int($0) })
                }
            }
            return sum
        }

        @Test("sleeps: neither the daemon nor a lane wakes up, before a job or after one")
        func sleepsBeforeAndAfterJob() throws {
            let nginx = try Nginx()
            let url = nginx.httpURL(try nginx.serve("body", Pattern(), count: 100_000))
            let service = try TestService(
                "lanes.minimum = 2\nlanes.idle_seconds = 3600\nlanes.hang_seconds = 1\n")
            for isUsed in [false, true] {
                if isUsed { try service.fetch(url).finishComplete(100_000) }
                // What a start or a job leaves behind, such as threads that wait for more work, ends within seconds.
                // A thread that wakes up once a second never leaves such a gap.
                try eventually("three seconds without a wake-up", within: Deadline.long) {
                    let processes = [service.processID] + (try Processes.children(of: service.processID))
                    guard let before = try? waits(processes) else { return false }
                    letPass(.seconds(3))
                    return try waits(processes) == before
                }
            }
        }
    }
}
