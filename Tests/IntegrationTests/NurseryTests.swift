import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    @Suite("The nursery")
    struct Nursery {
        private static let pattern = Pattern(seed: 71)
        private static let settings = "lanes.nursery = \"always\"\n"

        private func nursery(of service: TestService) throws -> Int32 {
            var found: Int32?
            try eventually("a nursery runs") {
                found = try Processes.nursery(of: service.processID)
                return found != nil
            }
            return found ?? 0
        }

        /// A forked lane has the nursery's arguments, blanked out after a moment.
        private func isForked(_ lane: Int32) -> Bool {
            guard let line = try? readText("/proc/\(lane)/cmdline") else { return false }
            return line.hasSuffix("\0\0") || line.contains("--nursery")
        }

        /// Ends lanes that were started as programs until there are `count` forked ones.
        private func forkedLanes(of service: TestService, _ count: Int) throws -> [Int32] {
            var lanes: [Int32] = []
            try eventually("\(count) lanes are forked") {
                lanes = try Processes.lanes(of: service.processID)
                // A lane that is killed while it starts counts as a failure.
                guard try service.status().lanes.starting == 0 else { return false }
                for lane in lanes where !isForked(lane) { kill(lane, SIGKILL) }
                return lanes.count == count && lanes.allSatisfy(isForked)
            }
            return lanes
        }

        @Test(
            "forks lanes, which are children of the service and look like any other lane; it has one thread itself"
        )
        func forksLanes() throws {
            let service = try TestService(Self.settings + "lanes.minimum = 3")
            let nursery = try nursery(of: service)
            let lanes = try forkedLanes(of: service, 3)
            #expect(try Processes.threads(of: nursery).count == 1)
            for lane in lanes {
                let line = try readText("/proc/\(lane)/cmdline")
                #expect(!line.contains("nursery"), "ps(1) shows \(line)")
                let open = try Processes.descriptors(of: lane)
                #expect(!open.contains { $0.hasPrefix("3 ") && !$0.contains("socket:") }, "\(open)")
            }
            // It closes them after it has let the latest lane go.
            try eventually("it keeps nothing of its lanes, and they are not its own") {
                try Processes.descriptors(of: nursery).count == 4 && Processes.children(of: nursery).isEmpty
            }
        }

        @Test("forks lanes that deliver bodies, over every wire", arguments: Wire.available)
        func forkedLanesDeliver(_ wire: Wire) throws {
            let wires = try Wires(Self.settings + "lanes.minimum = 2")
            _ = try forkedLanes(of: wires.service, 2)
            let path = try wires.nginx.serve("file", Self.pattern, count: 5_000_000)
            let jobs = try (0..<4).map { _ in
                try wires.service.fetch(wires.url(path, over: wire), expecting: Self.pattern)
            }
            for job in jobs { try job.finishComplete(5_000_000) }
        }

        @Test("that dies costs no job anything: lanes are started as programs until there is another one")
        func deathCostsNothing() throws {
            let wires = try Wires(Self.settings + "lanes.minimum = 0")
            let first = try nursery(of: wires.service)
            let path = try wires.nginx.serve("file", Self.pattern, count: 100_000)
            for _ in 0..<3 {
                if let nursery = try Processes.nursery(of: wires.service.processID) { kill(nursery, SIGKILL) }
                for lane in try Processes.lanes(of: wires.service.processID) { kill(lane, SIGKILL) }
                _ = try wires.service.fetch(wires.nginx.httpURL(path), expecting: Self.pattern)
                    .finishComplete(100_000)
            }
            #expect(try nursery(of: wires.service) != first)
            #expect(wires.service.log.contains("lanes start more slowly"))
        }

        @Test("that hangs is replaced, and the lane that it was asked for is started as a program")
        func hangIsReplaced() throws {
            let wires = try Wires(Self.settings + "lanes.minimum = 1")
            let first = try nursery(of: wires.service)
            let lanes = try forkedLanes(of: wires.service, 1)
            try Processes.stop(first)
            for lane in lanes { kill(lane, SIGKILL) }
            let path = try wires.nginx.serve("file", Self.pattern, count: 100_000)
            try wires.service.fetch(wires.nginx.httpURL(path), expecting: Self.pattern).finishComplete(
                100_000)
            try eventually("it is replaced") { !Processes.runs(first) }
            #expect(try nursery(of: wires.service) != first)
        }

        @Test("is replaced after a lane has crashed, and so are that lane's siblings")
        func crashReplacesIt() throws {
            let service = try TestService(Self.settings + "lanes.minimum = 2")
            let first = try nursery(of: service)
            let lanes = try forkedLanes(of: service, 2)
            kill(lanes[0], SIGSEGV)
            try eventually("all three have ended") { !([first] + lanes).contains { Processes.runs($0) } }
            #expect(try nursery(of: service) != first)
        }

        @Test("ends with its service, and so do its lanes")
        func endsWithService() throws {
            let service = try TestService(Self.settings)
            let processes = [try nursery(of: service)] + (try Processes.lanes(of: service.processID))
            kill(service.processID, SIGKILL)
            try eventually("all have ended") { !processes.contains { Processes.runs($0) } }
        }
    }
}
