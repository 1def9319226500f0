import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing
import Unix

import class Foundation.FileManager

/// What wakes a lane up.
@Suite("A lane's wake-ups")
struct WakeUpTests {
    private static let count = 32 << 20
    private static let piece = 4096

    @Test("a consumer that splices small pieces out of its pipe does not wake the lane for each piece")
    func smallSplicesDoNotWakeLane() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Pattern(seed: 93), count: Self.count) }
        let lane = try LaneBench()
        let ledgerFile = try SharedCounters.makeFile(name: "test")
        Ledger(new: try SharedCounters(mapping: ledgerFile)).restart(at: 0, now: Monotonic.nanoseconds())
        let stage = try Pipe()
        let staging = try stage.readEnd.reopenedForReadingAndWriting()
        let pipe = try Pipe()
        _ = try pipe.readEnd.setPipeCapacity(1 << 20)
        let nowhere = OwnedDescriptor(adopting: open("/dev/null", O_WRONLY | O_CLOEXEC))
        try lane.send(
            .order(.test(origin.url())),
            descriptors: [pipe.writeEnd.rawValue, ledgerFile.rawValue, staging.rawValue])
        let start = Monotonic.nanoseconds()
        var taken = 0
        var splices = 0
        while taken < Self.count {
            let moved = try Splice.waitAndMove(
                from: pipe.readEnd.rawValue, to: nowhere.rawValue, count: Self.piece)
            guard moved > 0 else { break }
            taken += moved
            splices += 1
        }
        #expect(try lane.end().outcome.code == .complete)
        #expect(taken == Self.count)
        let wakeUps = try Self.wakeUps(lane.program.processID)
        let milliseconds = Int((Monotonic.nanoseconds() - start) / 1_000_000)
        print("figure: \(wakeUps) wake-ups of a lane's loop in \(milliseconds) ms and \(splices) splices")
        // What remains is a tick and a look in each millisecond, and a few wake-ups for the beginning and the end.
        #expect(wakeUps < 3 * milliseconds + 50)
    }

    @Test("a consumer that takes small pieces while the origin pauses does not wake the lane for each piece")
    func smallPiecesDuringPauseDoNotWakeLane() throws {
        let capacity = 1 << 20
        let waiting = 768 << 10
        let gate = try Gate()
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Content-Length: \(capacity + waiting + 1)"])
            try connection.send(Pattern(seed: 94), 0..<(capacity + waiting))
            try connection.wait(for: gate)
            try connection.send(Pattern(seed: 94), (capacity + waiting)..<(capacity + waiting + 1))
        }
        let lane = try LaneBench()
        let ledgerFile = try SharedCounters.makeFile(name: "test")
        let ledger = Ledger(new: try SharedCounters(mapping: ledgerFile))
        ledger.restart(at: 0, now: Monotonic.nanoseconds())
        let stage = try Pipe()
        let staging = try stage.readEnd.reopenedForReadingAndWriting()
        let pipe = try Pipe()
        _ = try pipe.readEnd.setPipeCapacity(capacity)
        let nowhere = OwnedDescriptor(adopting: open("/dev/null", O_WRONLY | O_CLOEXEC))
        try lane.send(
            .order(.test(origin.url())),
            descriptors: [pipe.writeEnd.rawValue, ledgerFile.rawValue, staging.rawValue])
        try eventually("the pipe is full, and the rest waits in the lane") {
            try pipe.readEnd.readableBytes() == capacity
                && ledger.read().received == UInt64(capacity + waiting)
        }
        try judge(
            "wake-ups of a lane's loop while the origin pauses",
            measuring: {
                // The lane has seen the pause by then, and waits for room.
                letPass(.milliseconds(20))
                let before = try Self.wakeUps(lane.program.processID)
                let start = Monotonic.nanoseconds()
                for _ in 0..<(waiting / 4 / Self.piece) {
                    _ = try Splice.waitAndMove(
                        from: pipe.readEnd.rawValue, to: nowhere.rawValue, count: Self.piece)
                    // The consumer's pace: without a pause a wake-up of the lane could stand for many pieces.
                    usleep(10)
                }
                let milliseconds = Int((Monotonic.nanoseconds() - start) / 1_000_000)
                let wakeUps = try Self.wakeUps(lane.program.processID) - before
                print(
                    "figure: \(wakeUps) wake-ups of a lane's loop in \(milliseconds) ms beside an origin that pauses"
                )
                return (wakeUps, milliseconds)
            }, by: { $0.0 < 3 * $0.1 + 15 })
        gate.open()
    }

    /// How many times the loop's thread of the lane has waited for an event and got it. (The session's thread waits at the
    /// gate.)
    private static func wakeUps(_ processID: Int32) throws -> Int {
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/task")
            .compactMap { Int($0) }.sorted()
        // The threads that it has started have its name as well, and larger numbers.
        let status = try #require(
            threads.lazy.compactMap { try? readText("/proc/\(processID)/task/\($0)/status") }
                .first { $0.hasPrefix("Name:\tloop\n") })
        let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
        return try #require(line?.split(separator: "\t").last.flatMap { Int($0) })
    }
}
