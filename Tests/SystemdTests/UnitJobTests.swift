import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

@testable import Systemd

/// Other cases need a service manager: Tests/System/job.sh.
@Suite("The job that a SIGTERM is a part of")
struct UnitJobTests {
    @Test(
        "systemd's job types are mapped to restart, stop or no job",
        arguments: [
            ("restart", UnitJob.restart), ("try-restart", .restart), ("stop", .stop), ("", .noJob),
            ("start", .noJob), ("reload", .noJob), ("verify-active", .noJob), ("nonsense", .noJob),
        ])
    func mapsSystemdJobTypes(word: String, job: UnitJob) {
        #expect(UnitJob(jobType: word) == job)
    }

    @Test("a bus that accepts the connection and never answers is given up after a second")
    func givesUpUnresponsiveBus() throws {
        let directory = try TemporaryDirectory()
        let bus = try UnixSocket.listen(path: directory.file("bus"))
        let address = "unix:path=\(directory.file("bus"))"
        let variables = ["DBUS_SYSTEM_BUS_ADDRESS=\(address)", "DBUS_SESSION_BUS_ADDRESS=\(address)"]
        #expect(try Probe.run(["job"], environment: variables).lines == ["unknown", "in time"])
        #expect(try UnixSocket.accept(from: bus) != nil)
    }

    @Test("without a bus the query returns at once, whatever its result")
    func answersAtOnceWithoutBus() throws {
        let variables = ["DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"].map {
            "\($0)=unix:path=/nowhere"
        }
        let lines = try Probe.run(["job"], environment: variables).lines
        // Where the tests run under systemd as root, the manager answers directly.
        #expect(["unknown", "noJob"].contains(lines.first))
        #expect(lines.last == "in time")
    }
}
