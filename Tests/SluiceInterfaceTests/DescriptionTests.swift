import Foundation
import SluiceInterface
import Testing
import Varlink

/// The description that clients see and the types that are sent are the same contract, written twice.
@Suite("The interface description")
struct DescriptionTests {
    let interface: InterfaceDescription

    init() throws {
        interface = try InterfaceDescription(Ingest.description)
    }

    private static func json(_ value: some Encodable) throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value))
    }

    /// The errors of a value, each with the path of its field.
    private func mistakes(_ value: JSONValue, _ type: VarlinkType, _ path: String) -> [String] {
        switch (type, value) {
        case (.bool, .bool), (.int, .integer), (.float, .integer), (.float, .double), (.string, .string),
            (.object, .object), (.optional, .null):
            return []
        case (.optional(let inner), _): return mistakes(value, inner, path)
        case (.named(let name), _):
            guard let type = interface.types[name] else { return ["\(path): no type \(name)"] }
            return mistakes(value, type, path)
        case (.enumeration(let names), .string(let word)):
            return names.contains(word) ? [] : ["\(path): \(word) is not one of \(names)"]
        case (.array(let inner), .array(let values)):
            return values.enumerated().flatMap { mistakes($1, inner, "\(path).\($0)") }
        case (.dictionary(let inner), .object(let object)):
            return object.flatMap { mistakes($1, inner, "\(path).\($0)") }
        case (.structure(let fields), .object(let object)): return mistakes(object, fields, path)
        default: return ["\(path): \(value) is no \(type)"]
        }
    }

    private func mistakes(_ object: [String: JSONValue], _ fields: [VarlinkField], _ path: String) -> [String]
    {
        let declared = Set(fields.map(\.name))
        let unknown = object.keys.filter { !declared.contains($0) }.map { "\(path).\($0) is not declared" }
        return unknown
            + fields.flatMap { field in
                mistakes(object[field.name] ?? .null, field.type, "\(path).\(field.name)")
            }
    }

    private func agrees(
        _ value: some Encodable, _ fields: [VarlinkField]?, isFull: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        guard case .object(let object) = try Self.json(value), let fields else {
            Issue.record("\(value) is no object, or not declared", sourceLocation: sourceLocation)
            return
        }
        #expect(mistakes(object, fields, "") == [], sourceLocation: sourceLocation)
        // A full value has every field: this finds fields that are declared and never sent.
        if isFull { #expect(Set(object.keys) == Set(fields.map(\.name)), sourceLocation: sourceLocation) }
    }

    private static func job() -> Job {
        var job = Job(
            id: "a", url: "http://h/", userID: 1, processID: 2, createdUsec: 3, highWatermark: 4,
            lowWatermark: 0)
        job.startedUsec = 1
        job.finishedUsec = 1
        job.httpStatus = 200
        job.contentLength = 1
        job.contentEncoding = "gzip"
        job.attempts = 2
        job.attemptLog = [Self.attempt(), Attempt(number: 2, position: 5, startedUsec: 6)]
        job.retryUsec = 7
        job.etag = "W/\"a\""
        job.digest = "sha256:00"
        job.laneProcessID = 1
        job.outcome = Outcome(.truncated, "why")
        return job
    }

    private static func attempt() -> Attempt {
        var attempt = Attempt(number: 1, position: 0, startedUsec: 3)
        attempt.endedUsec = 4
        attempt.httpStatus = 503
        attempt.code = .httpStatus
        attempt.message = "why"
        return attempt
    }

    @Test("the description has the name, the methods and the errors that the service offers")
    func hasOfferedMethodsAndErrors() {
        #expect(interface.name == Ingest.interfaceName)
        #expect(
            Set(interface.methods.keys) == [
                "Fetch", "Wait", "Watch", "List", "Show", "Cancel", "Drain", "Undrain", "Status", "Metrics",
            ])
        #expect(
            Set(interface.errors.keys) == [
                "NoSuchJob", "InvalidRequest", "TooManyJobs", "TooManyConnections", "TooManyWatchers",
                "ResourcesExhausted", "NotAllowed", "Draining", "Stopping",
            ])
    }

    @Test("parameters match their declaration, both complete and minimal")
    func parametersMatchDeclaration() throws {
        var fetch = Ingest.FetchParameters(url: "http://h/")
        try agrees(fetch, interface.methods["Fetch"]?.parameters, isFull: false)
        fetch.headers = [HeaderField(name: "a", value: "b")]
        fetch.highWatermark = 1
        fetch.lowWatermark = 0
        fetch.connectTimeoutSeconds = 0.5
        fetch.headTimeoutSeconds = 0.5
        fetch.silenceTimeoutSeconds = 1
        fetch.stallTimeoutSeconds = 1
        fetch.minimumSpeed = 5
        fetch.deadlineSeconds = 2
        fetch.maximumSize = 3
        fetch.retries = 4
        fetch.digest = "sha256"
        fetch.ifNoneMatch = "\"a\""
        fetch.identity = true
        fetch.allowDowngrade = false
        fetch.http1 = true
        try agrees(fetch, interface.methods["Fetch"]?.parameters)
        for name in ["Wait", "Show", "Cancel"] {
            try agrees(Ingest.JobParameters(id: "a"), interface.methods[name]?.parameters)
        }
        try agrees(
            Ingest.WatchParameters(id: "a", intervalSeconds: 0.5), interface.methods["Watch"]?.parameters)
        try agrees(Ingest.WatchParameters(), interface.methods["Watch"]?.parameters, isFull: false)
        try agrees(
            Ingest.ListParameters(active: true, userID: 7, states: [.failed], limit: 1, after: 2),
            interface.methods["List"]?.parameters)
        try agrees(Ingest.ListParameters(), interface.methods["List"]?.parameters, isFull: false)
        try agrees(Ingest.MetricsParameters(byName: true), interface.methods["Metrics"]?.parameters)
        try agrees(Ingest.MetricsParameters(), interface.methods["Metrics"]?.parameters, isFull: false)
        for name in ["Status", "Drain", "Undrain"] {
            #expect(interface.methods[name]?.parameters.isEmpty == true)
        }
    }

    @Test("replies match their declaration")
    func repliesMatchDeclaration() throws {
        try agrees(Ingest.DrainReply(jobs: 1), interface.methods["Drain"]?.replies)
        #expect(interface.methods["Undrain"]?.replies.isEmpty == true)
        try agrees(
            Ingest.FetchReply(id: "a", bodyFileDescriptor: 0, job: Self.job()),
            interface.methods["Fetch"]?.replies)
        try agrees(Ingest.FetchReply(id: "a"), interface.methods["Fetch"]?.replies, isFull: false)
        for name in ["Wait", "Watch", "Show", "Cancel"] {
            try agrees(Ingest.JobReply(job: Self.job()), interface.methods[name]?.replies)
        }
        try agrees(
            Ingest.ListReply(jobs: [Self.job(), Self.job()], next: 1), interface.methods["List"]?.replies)
        try agrees(
            Ingest.ListReply(jobs: [Self.job()]), interface.methods["List"]?.replies, isFull: false)
        try agrees(
            Ingest.StatusReply(
                version: "1", processID: 1, startedUsec: 1, status: "idle", jobs: Ingest.JobCounts(),
                lanes: Ingest.LaneCounts(), bytesDelivered: 1, pipeBytes: 1, pipeBudget: 1, connections: 1),
            interface.methods["Status"]?.replies)
    }

    @Test("metrics of every kind match their declaration, with numbers and with histograms")
    func metricsMatchDeclaration() throws {
        let number = Ingest.MetricSample(0.5, labels: ["a": "b"])
        let histogram = Ingest.MetricSample(
            Ingest.MetricHistogram(count: 2, sum: 3, buckets: [.init(upperBound: 0.1, count: 1)]))
        for kind in Ingest.MetricKind.allCases {
            let metric = Ingest.Metric(
                "a_bytes", kind, unit: "bytes", help: "h", samples: [number, histogram])
            try agrees(Ingest.MetricsReply(metrics: [metric]), interface.methods["Metrics"]?.replies)
            guard case .structure(let fields) = interface.types["Metric"] else {
                Issue.record("no type Metric")
                return
            }
            try agrees(metric, fields)
        }
        #expect(
            interface.types["MetricKind"] == .enumeration(Ingest.MetricKind.allCases.map(\.rawValue)))
    }

    @Test("a job matches its declaration field by field, in every state and with every outcome")
    func jobsMatchDeclaration() throws {
        guard case .structure(let fields) = interface.types["Job"] else {
            Issue.record("no type Job")
            return
        }
        try agrees(Self.job(), fields)
        for state in JobState.allCases {
            var job = Self.job()
            job.state = state
            try agrees(job, fields)
        }
        for code in OutcomeCode.allCases {
            var job = Self.job()
            job.outcome = Outcome(code, "why")
            try agrees(job, fields)
        }
        let young = Job(
            id: "a", url: "u", userID: 1, processID: 2, createdUsec: 3, highWatermark: 4, lowWatermark: 0)
        try agrees(young, fields, isFull: false)
    }

    @Test("an attempt matches its declaration, with every code that it can end with")
    func attemptsMatchDeclaration() throws {
        guard case .structure(let fields) = interface.types["Attempt"] else {
            Issue.record("no type Attempt")
            return
        }
        try agrees(Self.attempt(), fields)
        try agrees(Attempt(number: 1, position: 0, startedUsec: 1), fields, isFull: false)
        for code in OutcomeCode.allCases {
            var attempt = Self.attempt()
            attempt.code = code
            try agrees(attempt, fields)
        }
    }

    @Test(
        "every state has its count, and the description explains every state that is not final")
    func everyStateHasCount() throws {
        guard case .structure(let fields) = interface.types["JobCounts"] else {
            Issue.record("no type JobCounts")
            return
        }
        #expect(Set(fields.map(\.name)) == Set(JobState.allCases.map(\.rawValue)).union(["retried"]))
        for state in JobState.allCases where !state.isFinal {
            #expect(Ingest.description.contains("\(state.rawValue): "), "\(state) is not explained")
        }
    }

    @Test("the description declares the same states and outcomes as the code")
    func statesAndOutcomesAreDeclared() {
        #expect(interface.types["State"] == .enumeration(JobState.allCases.map(\.rawValue)))
        #expect(interface.types["OutcomeCode"] == .enumeration(OutcomeCode.allCases.map(\.rawValue)))
    }

    @Test("a former name of an outcome is read, and an unknown one is not")
    func formerOutcomes() throws {
        let read = { (text: String) in try JSONDecoder().decode([OutcomeCode].self, from: Data(text.utf8)) }
        #expect(try read(#"["stallTimeout", "silenceTimeout"]"#) == [.silenceTimeout, .silenceTimeout])
        #expect(throws: DecodingError.self) { try read(#"["stalled"]"#) }
    }

    @Test("a job is decoded exactly as it was encoded")
    func jobSurvivesRoundTrip() throws {
        let job = Self.job()
        #expect(try JSONDecoder().decode(Job.self, from: JSONEncoder().encode(job)) == job)
    }
}
