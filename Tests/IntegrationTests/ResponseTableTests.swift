import SluiceInterface
import SystemPackage
import TestKit
import Testing

extension Integration {
    /// Raw responses, valid and invalid, and the expected result of each, with curl as the oracle.
    @Suite("Responses")
    struct Responses {
        @Test(
            "each entry of the table states how its result compares with curl's"
        )
        func entriesStateRelationToCurl() throws {
            let table = try ResponseTable()
            #expect(table.entries.count >= 120)
            for entry in table.entries {
                let succeeds = entry.outcomes.allSatisfy { OutcomeCode(rawValue: $0)?.state == .complete }
                switch entry.oracle {
                case .same: #expect(succeeds, "\(entry.name): curl cannot do the same as a failure")
                case .fails: #expect(!succeeds, "\(entry.name): curl fails and Sluice does not: say why")
                case .differs(let reason): #expect(!reason.isEmpty, "\(entry.name): no reason")
                }
                #expect(entry.wires.allSatisfy { Wire(rawValue: $0) != nil }, "\(entry.name): \(entry.wires)")
            }
        }

        @Test(
            "each response gives the result in the table, curl behaves as stated there, and no lane dies",
            arguments: Wire.available.filter { $0 != .http2 })
        func responsesMatchTable(_ wire: Wire) throws {
            let scene = try ResponseScene(wire)
            let entries = try ResponseTable().entries.filter { $0.wires.contains(wire.rawValue) }
            try #require(!entries.isEmpty)
            let turn = Monitor(0)
            let mismatches = Monitor([[String]](repeating: [], count: entries.count))
            let workers = (0..<ResponseScene.workers).map { _ in
                TestThread {
                    while true {
                        let index = turn.update { turn in
                            turn += 1
                            return turn - 1
                        }
                        guard index < entries.count else { return }
                        let found = scene.mismatches(of: entries[index])
                        mismatches.update { $0[index] = found }
                    }
                }
            }
            for worker in workers { worker.join() }
            let lines = zip(entries, mismatches.read { $0 }).compactMap { entry, found in
                found.isEmpty ? nil : "\(wire): \(entry.name): \(found.joined(separator: "; "))"
            }
            for line in lines { Issue.record("\(line)") }
            try Self.report(lines, wire)
            let status = try scene.service.status()
            #expect(status.lanes.died == 0, "lanes died")
            #expect(status.jobs.complete + status.jobs.failed == entries.count, "\(status)")
        }

        /// Writes the mismatches to a separate file, too, since the log of a test run is long.
        private static func report(_ lines: [String], _ wire: Wire) throws {
            let file = try FileDescriptor.open(
                Sources.path(".build/responses-\(wire).txt"), .writeOnly, options: [.create, .truncate],
                permissions: .ownerReadWrite)
            try file.closeAfter {
                _ = try file.writeAll(
                    "\(lines.count) with \(Products.directory)\n\(lines.joined(separator: "\n"))\n".utf8)
            }
        }
    }
}
