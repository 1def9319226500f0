import FoundationEssentials
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import TestKit
import Unix

/// A real lane process; the test plays its daemon.
///
/// ## Concurrency model
/// One thread receives the reports into a monitor until the lane has ended.
final class LaneBench: Sendable {
    let program: Program
    private let channel: OwnedDescriptor
    private let reports = Monitor<[LaneReport]>([])

    init() throws {
        let pair = try UnixSocket.seqpacketPair()
        var environment = Program.inheritedEnvironment()
        for name in environment.keys where name.lowercased().hasSuffix("_proxy") { environment[name] = nil }
        program = try Program(
            try Products.path("sluice-lane"), environment: environment, control: pair.second.rawValue)
        channel = try pair.first.duplicate()
        let receiving = try pair.first.duplicate()
        let handle = receiving.release()
        TestThread.detached { [reports] in
            Self.receive(from: OwnedDescriptor(adopting: handle), into: reports)
        }
        try waitFor("ready") { if case .ready = $0 { true } else { false } }
    }

    deinit { program.kill() }

    private static func receive(from channel: consuming OwnedDescriptor, into reports: Monitor<[LaneReport]>)
    {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 8)
        defer { buffer.deallocate() }
        while let message = try? SocketMessage.receive(into: buffer, from: channel), message.count > 0,
            !message.isTruncated,
            let report = LaneReport(packet: Array(buffer.prefix(message.count)))
        {
            reports.update { $0.append(report) }
        }
    }

    func send(_ command: LaneCommand, descriptors: [CInt] = []) throws {
        let bytes = command.packet
        _ = try bytes.withUnsafeBytes { bytes throws(Errno) in
            try SocketMessage.send(bytes, descriptors: descriptors, to: channel)
        }
    }

    /// All reports since the last order.
    var all: [LaneReport] { reports.read { $0 } }

    func waitFor(
        _ what: String, within duration: Duration = Deadline.usual, _ wanted: (LaneReport) -> Bool
    ) throws {
        guard reports.wait(until: Deadline(duration), { $0.contains(where: wanted) }) else {
            throw TestFailure("the lane did not say \(what): \(reports.read { $0 })")
        }
    }

    /// Gives the lane an attempt of a job.
    ///
    /// - Parameter bringsAccount: whether the order carries the account. If not, the lane must already have it.
    func begin(_ attempt: LaneOrder, of job: LaneTestJob, bringsAccount: Bool = true) throws {
        reports.update { $0 = [] }
        let account = bringsAccount ? [job.ledgerFile.rawValue, job.staging.rawValue] : []
        try send(.order(attempt), descriptors: [job.sink.rawValue] + account)
    }

    /// Whether the lane has said since the last order that it keeps the account.
    var keepsAccount: Bool {
        all.contains { if case .ended(_, _, _, keepsAccount: true) = $0 { true } else { false } }
    }

    /// What the lane reported about the end, once it is idle again.
    func end(within duration: Duration = Deadline.usual) throws -> EndFacts {
        try waitFor("idle", within: duration) {
            if case .ended(_, _, isIdle: true, _) = $0 { true } else { $0 == .idle }
        }
        let ends = reports.read { reports in
            reports.compactMap { if case .ended(_, let facts, _, _) = $0 { facts } else { nil } }
        }
        guard ends.count == 1, let facts = ends.first else {
            throw TestFailure("\(ends.count) ends were told")
        }
        return facts
    }

    /// What the lane reported about the response, if anything.
    var response: ResponseFacts? {
        reports.read { reports in
            reports.compactMap { if case .responded(_, let facts) = $0 { facts } else { nil } }.last
        }
    }

    /// Runs an attempt from its order to its end.
    func run(_ attempt: LaneOrder, of job: LaneTestJob) throws -> EndFacts {
        try begin(attempt, of: job)
        return try end()
    }
}

/// A job's pipes, ledger and consumer, as the daemon and its client have them.
final class LaneTestJob {
    let sink: OwnedDescriptor
    let staging: OwnedDescriptor
    let ledgerFile: OwnedDescriptor
    let ledger: Ledger
    let reader: ThreadedReader
    /// The number of bytes that the consumer had when the test began.
    let start: Int
    private var account: LedgerReader

    /// - Parameters:
    ///   - start: the consumer already has this number of bytes of the pattern.
    ///   - other: a job that is over. The new job takes over its ledger and its staging pipe.
    init(
        _ pattern: Pattern, from start: Int = 0, pace: ThreadedReader.Pace = .full,
        with other: LaneTestJob? = nil
    ) throws {
        self.start = start
        ledgerFile = try other?.ledgerFile.duplicate() ?? SharedCounters.makeFile(name: "test")
        ledger = Ledger(new: try SharedCounters(mapping: ledgerFile))
        account = LedgerReader(ledger)
        staging = try other?.staging.duplicate() ?? Self.makeStaging()
        let pipe = try Pipe()
        sink = try pipe.writeEnd.duplicate()
        reader = try ThreadedReader(
            try pipe.readEnd.duplicate(), expecting: pattern, from: start, pace: pace)
        restart(at: start)
    }

    private static func makeStaging() throws -> OwnedDescriptor {
        try Pipe().readEnd.reopenedForReadingAndWriting()
    }

    /// Sets the account back and discards the staged bytes, as the daemon does between two attempts.
    func restart(at position: Int) {
        account.restart(at: position, now: Monotonic.nanoseconds())
        var drain = [UInt8](repeating: 0, count: 1 << 20)
        while read(staging.rawValue, &drain, drain.count) > 0 {}
    }

    /// Delivered bytes according to the ledger, computed as the daemon does.
    func delivered() throws -> Int { try account.delivered(staged: staging.readableBytes()) }

    /// Waits until the consumer has all delivered bytes, and compares both numbers.
    ///
    /// - Returns: the number of bytes of the body that it has, including those before the start.
    func check() throws -> Int {
        let delivered = try delivered()
        try reader.waitForCount(delivered - start)
        try eventually("the consumer's pipe is empty") { try sink.readableBytes() == 0 }
        guard reader.count == delivered - start, reader.report.firstMismatch == nil else {
            throw TestFailure("by the ledger \(delivered - start), by the consumer \(reader.report)")
        }
        return delivered
    }
}

extension LaneOrder {
    /// An order such as the daemon makes.
    static func test(
        _ url: String, position: Int = 0, known: Representation? = nil, parkAfter: Double = 20,
        _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws -> LaneOrder {
        var parameters = Ingest.FetchParameters(url: url)
        change(&parameters)
        var parking = Settings.Parking()
        parking.afterSeconds = parkAfter
        return LaneOrder(
            serial: 7, request: try JobRequest(parameters, settings: Settings()), parking: parking,
            position: position, known: known)
    }
}

extension Representation {
    /// A body that can be continued.
    static func test(_ url: String, etag: String = "\"v1\"", length: Int?) -> Representation {
        Representation(
            url: url, sendsHeaders: true, version: Version { $0 == "etag" ? etag : nil },
            length: length, framing: length == nil ? .chunked : .length)
    }
}
