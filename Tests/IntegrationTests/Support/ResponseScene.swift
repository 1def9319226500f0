import Glibc
import SluiceInterface
import TestKit
import Unix
import Varlink

/// Plays entries of the response table to a service and to curl, and reports where the results differ.
///
/// ## Concurrency model
/// Several threads play entries at once: each has its own origins, and the service accepts concurrent calls.
final class ResponseScene: Sendable {
    /// Number of entries that are played at once: each waits most of the time.
    static let workers = 6
    /// The time limit of a job, and of curl.
    private static let patience = Duration.seconds(20)

    let service: TestService
    private let wire: Wire
    private let authority: TestCA?
    private let relay: TLSRelay?
    private let directory: TemporaryDirectory

    init(_ wire: Wire) throws {
        self.wire = wire
        authority = wire == .tls ? try TestCA() : nil
        relay = try authority.map { try TLSRelay($0[.good]) }
        directory = try TemporaryDirectory("sluice-responses")
        service = try TestService("lanes.maximum = \(Self.workers)", authority: authority?.certificate)
    }

    /// The differences between the entry and what Sluice, or curl, does.
    func mismatches(of entry: ResponseTable.Entry) -> [String] {
        do {
            return try mismatchesOfSluice(entry) + mismatchesOfCurl(entry)
        } catch {
            return ["\(error)"]
        }
    }

    // MARK: Sluice

    private func mismatchesOfSluice(_ entry: ResponseTable.Entry) throws -> [String] {
        let stage = try Stage(entry, wire, relay)
        let (job, body) = try service.fetchWhole(stage.url, within: Self.patience) { parameters in
            parameters.connectTimeoutSeconds = 10
            parameters.silenceTimeoutSeconds = 10
        }
        var found: [String] = []
        func note(_ what: String, _ isRight: Bool) { if !isRight { found.append(what) } }

        let code = job.outcome?.code.rawValue ?? "none"
        let message = job.outcome?.message ?? ""
        note(
            "outcome \(code) (\(message)), not \(entry.outcomes.joined(separator: " or "))",
            entry.outcomes.contains(code))
        note(
            "status \(Self.text(job.httpStatus)), not \(Self.text(entry.status))",
            !entry.checksStatus || job.httpStatus == entry.status)
        note("body \(Self.text(body)), not \(entry.body.text)", entry.body.allows(body))
        note("\(job.bytesDelivered) bytes delivered of \(body.count)", job.bytesDelivered == body.count)
        note("a lane died", !job.attemptLog.contains { $0.code == .laneDied })
        for part in entry.says { note("“\(message)” does not say “\(part)”", message.contains(part)) }
        let coding = try service.call(
            "Show", Ingest.JobParameters(id: job.id), as: CodingReply.self
        ).job.contentEncoding
        note(
            "contentEncoding \(coding ?? "none"), not \(entry.coding ?? "none")",
            coding == entry.coding || entry.coding == "*")
        note("asked for \(stage.targets), not \(stage.expectedTargets)", stage.isAskedAsExpected)
        return found
    }

    /// What a job reports about the coding of its body.
    private struct CodingReply: Decodable {
        struct Job: Decodable {
            var contentEncoding: String?
        }
        var job: Job
    }

    // MARK: curl

    private func mismatchesOfCurl(_ entry: ResponseTable.Entry) throws -> [String] {
        let stage = try Stage(entry, wire, relay)
        let file = directory.file("curl-\(stage.port)")
        defer { unlink(file) }
        let trust = authority.map { ["--cacert", $0.certificate] } ?? []
        let result = try Program.run(
            "/usr/bin/curl",
            [
                "-q", "-sS", "--http1.1", "--fail", "--location", "--max-redirs", "20", "--globoff",
                "--noproxy", "*", "--proto-redir", "=http,https", "--max-time", "10", "-o", file,
            ] + trust + [stage.url], environment: TestService.environment(), within: Self.patience)
        let succeeds = result.exit == .exited(0)
        let body = (try? readBytes(file)) ?? []
        let isSame = succeeds && entry.body.allows(body) && stage.isAskedAsExpected
        let summary =
            "curl: \(result.exit), \(result.errors.filter { $0 != "\n" }) "
            + "body \(Self.text(body)), asked for \(stage.targets)"
        switch entry.oracle {
        case .same: return isSame ? [] : [summary + ", which is not the same"]
        case .fails: return succeeds ? [summary + ", which is no failure"] : []
        case .differs:
            let expectsSuccess = entry.outcomes.allSatisfy { OutcomeCode(rawValue: $0)?.state == .complete }
            let agrees = expectsSuccess ? isSame : !succeeds
            return agrees ? [summary + ", which does not differ"] : []
        }
    }

    // MARK: Text

    static func text(_ bytes: [UInt8]) -> String {
        let shown = bytes.prefix(60).map { byte in
            (0x20...0x7e).contains(byte) ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16)
        }
        return "“\(shown.joined())\(bytes.count > 60 ? "…” (\(bytes.count) bytes)" : "”")"
    }

    private static func text(_ status: Int?) -> String { status.map(String.init) ?? "none" }
}

extension ResponseTable.Body {
    fileprivate var text: String {
        switch self {
        case .exactly(let bytes): ResponseScene.text(bytes)
        case .prefix(let bytes): "a prefix of \(ResponseScene.text(bytes))"
        }
    }

    fileprivate func allows(_ body: [UInt8]) -> Bool {
        switch self {
        case .exactly(let bytes): body == bytes
        case .prefix(let bytes): bytes.starts(with: body)
        }
    }
}

/// An origin that plays one entry to one client.
private final class Stage: Sendable {
    private let entry: ResponseTable.Entry
    private let origin: BadOrigin
    /// The port to which the client connects.
    let port: UInt16
    private let scheme: String

    init(_ entry: ResponseTable.Entry, _ wire: Wire, _ relay: TLSRelay?) throws {
        self.entry = entry
        scheme = wire == .http ? "http" : "https"
        origin = try BadOrigin()
        port = try relay?.port(for: origin.port) ?? origin.port
        let played = Monitor(0)
        let scheme = scheme
        let authority = "127.0.0.1:\(port)"
        origin.onOther { connection in
            let number = played.update { number in
                number += 1
                return number - 1
            }
            guard number < entry.answers.count || entry.repeats else {
                return try connection.respond(body: Array("one request too many".utf8))
            }
            let answer = entry.answers[min(number, entry.answers.count - 1)]
            var write: [UInt8] = []
            for step in answer.steps {
                if case .send(let bytes) = step {
                    write += try bytes.bytes(scheme: scheme, authority: authority)
                    continue
                }
                try connection.send(write)
                write = []
                switch step {
                case .send: break
                case .pause: try connection.pause(.milliseconds(50))
                case .close: connection.close()
                case .reset: connection.reset()
                }
            }
            try connection.send(write)
        }
    }

    var url: String { "\(scheme)://127.0.0.1:\(port)\(entry.answers[0].targets[0])" }

    var targets: [String] { origin.requests.map(\.target) }

    var expectedTargets: [[String]] { entry.answers.map(\.targets) }

    /// Whether the requests were those that the entry names.
    var isAskedAsExpected: Bool {
        let targets = targets
        if entry.repeats { return targets.count > 1 }
        return targets.count == entry.answers.count
            && zip(targets, entry.answers).allSatisfy { target, answer in
                answer.targets.contains { $0 == "*" || $0.lowercased() == target.lowercased() }
            }
    }
}
