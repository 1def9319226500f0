/// Everything an administrator can choose. The defaults are those of config/sluiced.toml.
///
/// The names here are those of the file, in Swift's spelling; the file's reader is `SettingsFile`.
public struct Settings: Sendable, Equatable {
    /// The lane pool.
    public struct Lanes: Sendable, Equatable {
        /// Lanes that are kept warm: 0 to `maximum`.
        public var minimum = 2
        /// Maximum number of lanes, and so of bodies in flight: 1 to 1,024.
        public var maximum = 96
        /// How long a lane above the minimum waits for its next job, in seconds: 0 to 86,400.
        public var idleSeconds = 60.0
        /// How long a lane has to end a transfer before it is killed, in seconds: 0.05 to 60.
        public var endSeconds = 2.0
        /// How long a lane may take to answer the service before it is replaced, in seconds: 1 to 3,600; nil if lanes
        /// are not watched.
        public var hangSeconds: Double? = 60
        /// Whether lanes are forked by a process that has loaded all that they need.
        public var nursery = Nursery.automatic

        /// When there is a nursery.
        public enum Nursery: String, Sendable, CaseIterable {
            /// In a service that serves more than one client.
            case automatic = "auto"
            case always
            case never
        }
    }

    /// The gate in front of each consumer.
    public struct Gate: Sendable, Equatable {
        /// Bytes at which the gate closes: 1 to `maximumHighWatermark`.
        public var highWatermark = 1 << 20
        /// Bytes at which the gate opens again: from 0 to less than the high watermark.
        public var lowWatermark = 256 << 10
        /// The largest high watermark that a job may ask for, in bytes: 64 KiB to 1 GiB.
        public var maximumHighWatermark = 64 << 20
        /// How long the gate must be closed before the job counts as stalled, in seconds: 0.01 to 60.
        public var stalledAfterSeconds = 1.0

        /// The defaults.
        public init() {}
    }

    /// The longest times that a client may ask for, in seconds.
    ///
    /// If the default for jobs that ask for nothing is longer, a client may ask for that default as well.
    public struct LongestTimes: Sendable, Equatable {
        /// `connect_seconds` of a job: 0.001 to 31,536,000.
        public var connect = 300.0
        /// `head_seconds` of a job: 0.001 to 31,536,000.
        public var head = 3600.0
        /// `silence_seconds` of a job: 0.001 to 31,536,000.
        public var silence = 3600.0
        /// `deadline_seconds` of a job: 0.001 to 31,536,000. It is also the deadline of a job that asks for none. If it
        /// is nil, any deadline is accepted, and a job may have none.
        public var deadline: Double?

        /// The defaults.
        public init() {}

        /// The longest times that are valid, for a service with a single user.
        public static var any: LongestTimes {
            var times = LongestTimes()
            times.connect = Timeouts.range.upperBound
            times.head = Timeouts.range.upperBound
            times.silence = Timeouts.range.upperBound
            return times
        }
    }

    /// When an attempt that failed is repeated.
    public struct Retries: Sendable, Equatable {
        /// Retries of a job that does not ask for a number of its own: 0 to 1,000.
        public var retries = 4
        /// Statuses of responses that are retried: 400 to 599 each.
        public var statuses = RetryPolicy.defaultStatuses
        /// How long the pauses are.
        public var pauses = RetryPolicy.Pauses()
    }

    /// Which redirects are followed, and which fields are sent to their targets.
    public struct Redirects: Sendable, Equatable {
        /// The most names that `credentialFields` may have.
        public static let maximumFields = 32
        /// The longest of these names, in bytes.
        public static let maximumFieldLength = 64

        /// How many redirects of one request are followed: 0 to 20, which is as far as URLSession goes.
        public var limit = 20
        /// Fields of a request that are not sent on to another origin, in lower case, beside those of
        /// `CredentialRules.names`.
        public var credentialFields: [String] = []

        /// The defaults.
        public init() {}
    }

    /// What happens to a job whose consumer does not read.
    public struct Parking: Sendable, Equatable {
        /// How long its gate may be closed before it is parked, in seconds: 0.05 to 86,400.
        public var afterSeconds = 20.0
        /// The share of the lanes that jobs that cannot be parked may occupy: 0 to 1.
        public var holdingShare = 0.5

        /// The defaults.
        public init() {}
    }

    /// How jobs survive a restart of the service.
    public struct Restart: Sendable, Equatable {
        /// The age at which a running job is put into the service manager's store, in seconds: 0 to 3,600.
        public var storeAfterSeconds = 1.0
        /// How long jobs may continue when the service is stopped and not restarted, in seconds: 0 to 86,400.
        public var drainSeconds = 5.0
    }

    /// Limits for one user, and for all users together.
    public struct Limits: Sendable, Equatable {
        /// Jobs that have not ended, of all users: 1 to 6,000. Each job may have four descriptors in the service
        /// manager's store. With more descriptors the list of their names would be too long to start the service with,
        /// and the manager compares each descriptor with all others whenever its own configuration is reloaded.
        public var jobs = 1024
        /// Jobs that have not ended, of one user: 1 to `jobs`.
        public var jobsPerUser = 1000
        /// Ended jobs of one user that are remembered: 0 to 10,000.
        public var rememberedJobsPerUser = 1000
        /// Connections of all users: 1 to 100,000.
        public var connections = 8192
        /// Connections of one user: 1 to `connections`.
        public var connectionsPerUser = 4096
        /// The largest body, in bytes; nil for any.
        public var maximumSize: Int?
        /// Lanes that one user may have at once: 1 to 1,024; nil for all.
        public var lanesPerUser: Int?
        /// Bytes a second of all jobs of one user together, in the range of `TokenBucket`; nil for any.
        public var ratePerUser: Int?
        /// Bytes a second of all jobs of all users together, in the range of `TokenBucket`; nil for any.
        public var rate: Int?
    }

    /// Pipes and their share of the kernel's memory.
    public struct Pipes: Sendable, Equatable {
        /// The capacity to which the pipe of a fast consumer is grown, in bytes: 64 KiB to 1 MiB, a power of two.
        public var grownCapacity = 1 << 20
        /// The limit for all pipes together, in bytes; nil for three quarters of the kernel's limit for a user.
        public var budget: Int?
    }

    /// The lane pool.
    public var lanes = Lanes()
    /// The gate.
    public var gate = Gate()
    /// The limits on time and speed of a job that names none.
    public var timeouts = Timeouts(connect: 30, head: 300, silence: 60, deadline: nil)
    /// The longest of them that a job may name.
    public var longest = LongestTimes()
    /// The retries.
    public var retries = Retries()
    /// The redirects.
    public var redirects = Redirects()
    /// Where jobs may connect to.
    public var egress = Egress()
    /// The parking.
    public var parking = Parking()
    /// The restart.
    public var restart = Restart()
    /// The limits.
    public var limits = Limits()
    /// Who may use the service, and the shares of particular users and groups.
    public var users = Users()
    /// The limits for hosts, and the certificates for them.
    public var origins = Origins()
    /// The pipes.
    public var pipes = Pipes()
    /// The socket, if the service manager passes none; nil for the standard one.
    public var socket: String?
    /// The lowest level of messages that are logged, by swift-log's name.
    public var logLevel = "info"

    /// The defaults.
    public init() {}

    /// The settings that are out of range or contradict each other, by their names in the file; empty if all are valid.
    public func problems() -> [RequestError] {
        var problems: [RequestError] = []
        func check<Value: Comparable>(_ name: String, _ value: Value, _ range: ClosedRange<Value>) {
            guard !range.contains(value) else { return }
            problems.append(.outOfRange(name, value, range))
        }
        func checkRate(_ name: String, _ value: Int?) {
            let range = TokenBucket.leastRate...TokenBucket.greatestRate
            guard let value, !range.contains(value) else { return }
            problems.append(.outOfRange(name, value, range, orNone: true))
        }
        check("lanes.maximum", lanes.maximum, 1...1024)
        check("lanes.minimum", lanes.minimum, 0...max(0, lanes.maximum))
        check("lanes.idle_seconds", lanes.idleSeconds, 0...86_400)
        check("lanes.end_seconds", lanes.endSeconds, 0.05...60)
        if let seconds = lanes.hangSeconds { check("lanes.hang_seconds", seconds, 1...3600) }
        check("gate.maximum_high_watermark", gate.maximumHighWatermark, 64 << 10...1 << 30)
        check("gate.high_watermark", gate.highWatermark, 1...max(1, gate.maximumHighWatermark))
        check("gate.low_watermark", gate.lowWatermark, 0...max(1, gate.highWatermark) - 1)
        check("gate.stalled_after_seconds", gate.stalledAfterSeconds, 0.01...60)
        check("timeouts.connect_seconds", timeouts.connect, Timeouts.range)
        check("timeouts.head_seconds", timeouts.head, Timeouts.range)
        check("timeouts.silence_seconds", timeouts.silence, Timeouts.range)
        if let speed = timeouts.minimumSpeed { check("timeouts.minimum_speed", speed, Timeouts.speeds) }
        if let deadline = timeouts.deadline { check("timeouts.deadline_seconds", deadline, Timeouts.range) }
        check("timeouts.maximum_connect_seconds", longest.connect, Timeouts.range)
        check("timeouts.maximum_head_seconds", longest.head, Timeouts.range)
        check("timeouts.maximum_silence_seconds", longest.silence, Timeouts.range)
        if let deadline = longest.deadline {
            check("timeouts.maximum_deadline_seconds", deadline, Timeouts.range)
        }
        check("retries.retries", retries.retries, 0...JobRequest.maximumRetries)
        if let status = retries.statuses.filter({ !(400...599).contains($0) }).min() {
            check("retries.statuses", status, 400...599)
        }
        check("retries.base_seconds", retries.pauses.base, 0...3600)
        check("retries.longest_seconds", retries.pauses.longest, 0...86_400)
        check("retries.longest_retry_after_seconds", retries.pauses.longestRetryAfter, 0...86_400)
        check("redirects.limit", redirects.limit, 0...20)
        problems += redirects.problems()
        problems += egress.problems()
        check("parking.after_seconds", parking.afterSeconds, 0.05...86_400)
        check("parking.holding_share", parking.holdingShare, 0...1)
        check("restart.store_after_seconds", restart.storeAfterSeconds, 0...3600)
        check("restart.drain_seconds", restart.drainSeconds, 0...86_400)
        check("limits.jobs", limits.jobs, 1...6000)
        check("limits.jobs_per_user", limits.jobsPerUser, 1...max(1, limits.jobs))
        check("limits.remembered_jobs_per_user", limits.rememberedJobsPerUser, 0...10_000)
        check("limits.connections", limits.connections, 1...100_000)
        check("limits.connections_per_user", limits.connectionsPerUser, 1...max(1, limits.connections))
        if let size = limits.maximumSize { check("limits.maximum_size", size, 1...Int.max) }
        if let lanes = limits.lanesPerUser { check("limits.lanes_per_user", lanes, 0...1024) }
        checkRate("limits.rate_per_user", limits.ratePerUser)
        checkRate("limits.rate", limits.rate)
        problems += users.problems(limits)
        problems += origins.problems()
        check("pipes.grown_capacity", pipes.grownCapacity, 64 << 10...1 << 20)
        if pipes.grownCapacity.nonzeroBitCount != 1 {
            problems.append(
                RequestError(
                    parameter: "pipes.grown_capacity", reason: "\(pipes.grownCapacity) is not a power of two",
                    remedy: "use 65536, 131072, 262144, 524288 or 1048576"))
        }
        if let budget = pipes.budget { check("pipes.budget", budget, 1 << 20...1 << 40) }
        let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
        if !levels.contains(logLevel) {
            problems.append(
                RequestError(
                    parameter: "log.level", reason: "“\(logLevel)” is not a level",
                    remedy: "use one of \(levels.joined(separator: ", "))"))
        }
        return problems
    }

    /// The settings that differ but take effect only at a start, by their names in the file.
    public func needingRestart(comparedTo new: Settings) -> [String] {
        var names: [String] = []
        if socket != new.socket { names.append("service.socket") }
        if logLevel != new.logLevel { names.append("log.level") }
        if lanes.nursery != new.lanes.nursery { names.append("lanes.nursery") }
        if limits.connections != new.limits.connections { names.append("limits.connections") }
        if limits.connectionsPerUser != new.limits.connectionsPerUser {
            names.append("limits.connections_per_user")
        }
        return names
    }
}

extension Settings.Redirects {
    fileprivate func problems() -> [RequestError] {
        func refuse(_ reason: String, _ remedy: String) -> RequestError {
            RequestError(parameter: "redirects.credential_fields", reason: reason, remedy: remedy)
        }
        guard credentialFields.count <= Self.maximumFields else {
            return [
                refuse("there are \(credentialFields.count) of them", "name at most \(Self.maximumFields)")
            ]
        }
        for name in credentialFields {
            guard name.isToken else {
                return [
                    refuse(
                        "\(RequestURL.quote(name)) is not a field name (RFC 9110 §5.1)",
                        "use letters, digits and hyphens")
                ]
            }
            guard name.utf8.count <= Self.maximumFieldLength else {
                return [
                    refuse(
                        "\(RequestURL.quote(name)) has \(name.utf8.count) bytes",
                        "use names of at most \(Self.maximumFieldLength)")
                ]
            }
        }
        return []
    }
}
