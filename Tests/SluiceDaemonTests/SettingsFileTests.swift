import Foundation
import SluiceCore
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("The settings file")
struct SettingsFileTests {
    private func problems(_ text: String) throws -> [String] {
        let error = #expect(throws: SettingsFileError.self) { try SettingsFile.parse(text, path: "f") }
        return try #require(error).problems
    }

    @Test("an empty file gives the defaults")
    func emptyFileGivesDefaults() throws {
        #expect(try SettingsFile.parse("", path: "f") == Settings())
        #expect(try SettingsFile.parse("# nothing\n[lanes]\n", path: "f") == Settings())
    }

    @Test("anything but a regular file is refused and not waited for")
    func refusesIrregularFiles() throws {
        let directory = try TemporaryDirectory()
        let fifo = directory.file("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        for path in [fifo, directory.path, "/dev/zero", "/dev/null"] {
            let error = #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: path) }
            #expect(error?.problems == ["it is not a regular file"], "\(path)")
        }
    }

    @Test("a file of a mebibyte is read to its last byte, and a larger file is refused")
    func readsFileUpToMebibyte() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("settings")
        let line = "[lanes]\nmaximum = 7\n"
        try directory.write(
            line + "#" + String(repeating: "x", count: (1 << 20) - line.count - 1), to: "settings")
        #expect(try SettingsFile.read(path: path).lanes.maximum == 7)
        try directory.write(line + "#" + String(repeating: "x", count: 1 << 20), to: "settings")
        let error = #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: path) }
        #expect(error?.problems == ["it is larger than 1048576 bytes"])
    }

    @Test("a setting's former name is read, and refused beside the new one")
    func formerNames() throws {
        let settings = try SettingsFile.parse(
            "timeouts = { stall_seconds = 2, maximum_stall_seconds = 3 }", path: "f")
        #expect(settings.timeouts.silence == 2 && settings.longest.silence == 3)
        #expect(
            try problems("timeouts = { stall_seconds = 2, silence_seconds = 3 }") == [
                "timeouts.stall_seconds: it is the former name of silence_seconds: give only silence_seconds"
            ])
        #expect(
            try problems("timeouts.stall_seconds = true") == [
                "timeouts.stall_seconds: it is not a number of seconds"
            ])
    }

    @Test("every setting is read")
    func readsEverySetting() throws {
        let settings = try SettingsFile.parse(
            """
            service = { socket = "/s", access = "deny" }
            lanes = { minimum = 1, maximum = 9, idle_seconds = 5, end_seconds = 1.5, hang_seconds = 5, nursery = "never" }
            [gate]
            high_watermark = "2M"
            low_watermark = 7
            maximum_high_watermark = "1G"
            stalled_after_seconds = 0.5
            [timeouts]
            connect_seconds = 1
            head_seconds = 4
            silence_seconds = 2
            minimum_speed = "10K"
            deadline_seconds = 3
            maximum_connect_seconds = 11
            maximum_head_seconds = 12
            maximum_silence_seconds = 13
            maximum_deadline_seconds = 14
            [retries]
            retries = 7
            statuses = [503, 429, 503]
            base_seconds = 0.25
            longest_seconds = 8
            longest_retry_after_seconds = 9
            [redirects]
            limit = 3
            credential_fields = ["X-Api-Key", "x-token"]
            [egress]
            allow_networks = ["192.0.2.0/24 port 443"]
            deny_networks = ["private"]
            allow_hosts = [".example.org"]
            deny_hosts = ["any"]
            [egress.users.alice]
            deny_networks = ["loopback"]
            [egress.users."1000"]
            [egress.groups.guests]
            allow_networks = ["any"]
            allow_hosts = ["a.test"]
            deny_hosts = ["b.test"]
            [parking]
            after_seconds = 2.5
            holding_share = 0.75
            [restart]
            store_after_seconds = 0
            drain_seconds = 1.5
            [limits]
            jobs = 4
            jobs_per_user = 3
            remembered_jobs_per_user = 2
            connections = 6
            connections_per_user = 5
            maximum_size = "1T"
            lanes_per_user = 7
            rate_per_user = "2M"
            rate = "10M"
            [users.alice]
            access = "allow"
            lanes = 2
            jobs = 3
            weight = 4
            rate = "5K"
            maximum_size = 6
            [users."j.doe"]
            rate = 0
            [groups.batch]
            access = "deny"
            [origins]
            connections = 8
            rate = "9K"
            [origins."mirror.test"]
            connections = 10
            rate = 0
            [pipes]
            grown_capacity = "128K"
            budget = "32M"
            [log]
            level = "debug"
            """, path: "f")
        var expected = Settings()
        expected.socket = "/s"
        expected.users.everyoneIsAllowed = false
        expected.limits.lanesPerUser = 7
        expected.limits.ratePerUser = 2 << 20
        expected.limits.rate = 10 << 20
        var part = Settings.Users.Part()
        part.isAllowed = true
        part.lanes = 2
        part.jobs = 3
        part.weight = 4
        part.rate = 5 << 10
        part.maximumSize = 6
        expected.users.users["alice"] = part
        part = Settings.Users.Part()
        part.rate = 0
        expected.users.users["j.doe"] = part
        part = Settings.Users.Part()
        part.isAllowed = false
        expected.users.groups["batch"] = part
        expected.origins.everyone.connections = 8
        expected.origins.everyone.rate = 9 << 10
        expected.origins.hosts["mirror.test"] = Settings.Origins.Limits()
        expected.origins.hosts["mirror.test"]?.connections = 10
        expected.origins.hosts["mirror.test"]?.rate = 0
        expected.lanes.minimum = 1
        expected.lanes.maximum = 9
        expected.lanes.idleSeconds = 5
        expected.lanes.endSeconds = 1.5
        expected.lanes.hangSeconds = 5
        expected.lanes.nursery = .never
        expected.gate.highWatermark = 2 << 20
        expected.gate.lowWatermark = 7
        expected.gate.maximumHighWatermark = 1 << 30
        expected.gate.stalledAfterSeconds = 0.5
        expected.timeouts = Timeouts(
            connect: 1, head: 4, silence: 2, deadline: 3, minimumSpeed: 10 << 10)
        expected.longest.connect = 11
        expected.longest.head = 12
        expected.longest.silence = 13
        expected.longest.deadline = 14
        expected.retries.retries = 7
        expected.retries.statuses = [429, 503]
        expected.retries.pauses.base = 0.25
        expected.retries.pauses.longest = 8
        expected.retries.pauses.longestRetryAfter = 9
        expected.redirects.limit = 3
        expected.redirects.credentialFields = ["x-api-key", "x-token"]
        expected.egress.everyone.allowNetworks = ["192.0.2.0/24 port 443"]
        expected.egress.everyone.denyNetworks = ["private"]
        expected.egress.everyone.allowHosts = [".example.org"]
        expected.egress.everyone.denyHosts = ["any"]
        var lists = Settings.Egress.Lists()
        expected.egress.users["1000"] = lists
        lists.denyNetworks = ["loopback"]
        expected.egress.users["alice"] = lists
        lists = Settings.Egress.Lists()
        lists.allowNetworks = ["any"]
        lists.allowHosts = ["a.test"]
        lists.denyHosts = ["b.test"]
        expected.egress.groups["guests"] = lists
        expected.parking.afterSeconds = 2.5
        expected.parking.holdingShare = 0.75
        expected.restart.storeAfterSeconds = 0
        expected.restart.drainSeconds = 1.5
        expected.limits.jobs = 4
        expected.limits.jobsPerUser = 3
        expected.limits.rememberedJobsPerUser = 2
        expected.limits.connections = 6
        expected.limits.connectionsPerUser = 5
        expected.limits.maximumSize = 1 << 40
        expected.pipes.grownCapacity = 128 << 10
        expected.pipes.budget = 32 << 20
        expected.logLevel = "debug"
        #expect(settings == expected)
    }

    @Test("the shipped file names every setting, each with its default")
    func shippedFileNamesEverySetting() throws {
        let lines = try Self.shippedFile().split(separator: "\n")
        // A setting that is commented out has no space after the #; text has one.
        let uncommented = lines.map { $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0 }
        let text = uncommented.joined(separator: "\n")
        #expect(try SettingsFile.parse(text, path: "sluiced.toml") == Settings())

        let keys = uncommented.compactMap { line in
            line.hasPrefix("#") ? nil : line.split(separator: " = ").first.map(String.init)
        }
        // A wrong key in each section makes the reader list the keys that it knows.
        for section in keys.filter({ $0.hasPrefix("[") }).map({ String($0.dropFirst().dropLast()) }) {
            let told = try problems("\(section).nonsense = 1").first { $0.contains("there are ") }
            let known = told?.split(separator: "there are ").last?.split(separator: ", ").map(String.init)
            let unnamed = try #require(known).filter { !keys.contains($0) }
            #expect(unnamed.isEmpty, "not in the file: \(section): \(unnamed)")
        }
        #expect(
            try problems("nonsense = 1") == [
                "nonsense: there is no such section; there are egress, gate, groups, lanes, limits, log, origins, parking, "
                    + "pipes, redirects, restart, retries, service, timeouts, users"
            ])
    }

    @Test("the shipped file is also valid as it is, and gives the defaults")
    func shippedFileIsValid() throws {
        #expect(try SettingsFile.parse(Self.shippedFile(), path: "sluiced.toml") == Settings())
    }

    private static func shippedFile() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        return try String(contentsOf: root.appending(path: "config/sluiced.toml"), encoding: .utf8)
    }

    @Test(
        "a value of the wrong type is an error that names its key",
        arguments: [
            ("retries.retries", "1.5"), ("retries.base_seconds", "\"1\""), ("retries.longest_seconds", "inf"),
            ("retries.longest_retry_after_seconds", "nan"), ("parking.after_seconds", "true"),
            ("parking.holding_share", "\"half\""), ("parking.holding_share", "nan"),
            ("restart.store_after_seconds", "[]"), ("lanes.hang_seconds", "\"60\""),
            ("timeouts.head_seconds", "nan"), ("timeouts.minimum_speed", "1.5"),
            ("redirects.limit", "\"20\""),
            ("retries.statuses", "503"), ("retries.statuses", "[503, \"504\"]"),
            ("retries.statuses", "[503.5]"),
            ("redirects.credential_fields", "\"X-Api-Key\""), ("redirects.credential_fields", "[\"X\", 1]"),
            ("restart.drain_seconds", "1979-05-27"),
        ])
    func refusesValuesOfWrongType(_ key: String, _ value: String) throws {
        let problems = try problems("\(key) = \(value)")
        #expect(
            problems.count == 1 && problems.first?.hasPrefix("\(key): it is not a") == true, "\(problems)")
    }

    @Test(
        "a number out of its range is an error that names the range",
        arguments: [
            ("retries.retries", "1001", "0 to 1000"), ("retries.retries", "-1", "0 to 1000"),
            ("retries.base_seconds", "3601", "0.0 to 3600.0"),
            ("retries.longest_seconds", "86401", "0.0 to 86400.0"),
            ("retries.longest_retry_after_seconds", "-1", "0.0 to 86400.0"),
            ("lanes.hang_seconds", "0.9", "1.0 to 3600.0"), ("lanes.hang_seconds", "3601", "1.0 to 3600.0"),
            ("timeouts.head_seconds", "0", "0.001 to 31536000.0"),
            ("timeouts.minimum_speed", "-1", "1 to 1099511627776"),
            ("timeouts.minimum_speed", "\"2T\"", "1 to 1099511627776"),
            ("retries.statuses", "[503, 399]", "400 to 599"),
            ("retries.statuses", "[600, 601]", "400 to 599"),
            ("redirects.limit", "21", "0 to 20"), ("redirects.limit", "-1", "0 to 20"),
            ("parking.after_seconds", "0", "0.05 to 86400.0"),
            ("parking.holding_share", "1.01", "0.0 to 1.0"),
            ("restart.store_after_seconds", "3601", "0.0 to 3600.0"),
            ("restart.drain_seconds", "-0.5", "0.0 to 86400.0"), ("limits.jobs", "6001", "1 to 6000"),
            ("limits.jobs_per_user", "1025", "1 to 1024"),
        ])
    func refusesNumbersOutOfRange(_ key: String, _ value: String, _ range: String) throws {
        let problems = try problems("\(key) = \(value)")
        #expect(
            problems.count == 1 && problems.first?.hasPrefix("\(key): ") == true
                && problems.first?.hasSuffix("give a value from \(range)") == true, "\(problems)")
    }

    @Test(
        "0 means no deadline, no minimum speed, no watch for hangs, no maximum size and the kernel's pipe budget"
    )
    func zeroDisablesLimits() throws {
        let settings = try SettingsFile.parse(
            "timeouts.deadline_seconds = 0\ntimeouts.minimum_speed = 0\nlanes.hang_seconds = 0\n"
                + "limits.maximum_size = 0\npipes.budget = 0", path: "f")
        #expect(settings.timeouts.deadline == nil && settings.limits.maximumSize == nil)
        #expect(settings.pipes.budget == nil)
        #expect(settings.timeouts.minimumSpeed == nil && settings.lanes.hangSeconds == nil)
    }

    @Test("lists may be empty, and their lengths and entries are checked")
    func checksLists() throws {
        let settings = try SettingsFile.parse(
            "retries.statuses = []\nredirects.credential_fields = []", path: "f")
        #expect(settings.retries.statuses.isEmpty && settings.redirects.credentialFields.isEmpty)
        let names = (0...Settings.Redirects.maximumFields).map { "\"X-\($0)\"" }
        let most = "redirects.credential_fields = [\(names.dropLast().joined(separator: ","))]"
        #expect(try SettingsFile.parse(most, path: "f").redirects.credentialFields.last == "x-31")
        let more = "redirects.credential_fields = [\(names.joined(separator: ","))]"
        #expect(try problems(more) == ["redirects.credential_fields: there are 33 of them: name at most 32"])
        for name in ["", "X Y", "X:", "Ä", "x\\t"] {
            let problems = try problems("redirects.credential_fields = [\"X\", \"\(name)\"]")
            #expect(
                problems.count == 1 && problems.first?.contains("is not a field name") == true, "\(problems)")
        }
    }

    @Test("all errors are reported at once, each on a line of its own with its key")
    func reportsAllProblemsAtOnce() throws {
        let problems = try problems(
            "x = 1\n[lanes]\nmaximum = \"a\"\nminimun = 3\n[gate]\nhigh_watermark = true\n[log]\nlevel = \"loud\""
        )
        #expect(problems.count == 5, "\(problems)")
        for key in ["x:", "lanes.maximum:", "lanes.minimun:", "gate.high_watermark:", "log.level:"] {
            #expect(problems.contains { $0.hasPrefix(key) }, "\(key) \(problems)")
        }
        #expect(
            SettingsFileError(path: "f", problems: problems).description.split(separator: "\n").count == 5)
    }

    @Test("errors in the sections of users, groups and hosts are reported with the section's name")
    func namesSectionOfProblem() throws {
        func first(_ text: String) throws -> String? { try problems(text).first }
        #expect(try first("users = 1")?.contains("it is not a table for each name") == true)
        #expect(try first("users.a = 1") == "users.a: it is not a section: write [users.a]")
        #expect(
            try first("[users.a]\nlane = 1")
                == "users.a.lane: there is no such setting; there are access, jobs, lanes, maximum_size, rate, weight"
        )
        #expect(try first("[groups.a]\naccess = true") == "groups.a.access: it is not \"allow\" or \"deny\"")
        #expect(try first("[users.a]\nrate = 1.5")?.hasPrefix("users.a.rate: it is not a size") == true)
        #expect(try first("[users.a]\nrate = 5")?.hasPrefix("users.a.rate: 5 is out of range") == true)
        #expect(try first("[users.\"a b\"]")?.contains("“a b” is not the name of one") == true)
        #expect(
            try first("[origins.example.org]\nrate = \"1M\"")
                == "origins.example.org: there is no such setting; names with dots need quotes")
        #expect(
            try first("origins.x = 1")
                == "origins.x: it is not a section: write [origins.x]; there are connections, rate")
        #expect(try first("[origins.\"a/b\"]")?.contains("“a/b” is not a host") == true)
        let directory = try TemporaryDirectory()
        let path = try directory.write("[users.\"j.doe\"]\nrate = \"1M\"\n", to: "f")
        #expect(try SettingsFile.load(path: path).text.contains("[users.\"j.doe\"]\nrate = \"1M\""))
    }

    @Test(
        "text that is not TOML is reported with its line",
        arguments: [("a = \n", 1), ("\n\n[x\n", 3), ("a = 1\na = 2\n", 2), ("lanes.maximum 3", 1)])
    func reportsLineOfInvalidTOML(_ text: String, _ line: Int) throws {
        let problems = try problems(text)
        #expect(problems.first?.contains("line \(line)") == true, "\(problems)")
    }

    @Test(
        "a section that is a value or an array, or a setting that is a table, is an error and does not trap")
    func refusesSectionsOfWrongShape() throws {
        for text in [
            "lanes = 1", "lanes = []", "lanes = \"\"", "[[lanes]]\nmaximum = 1", "lanes.maximum.x = 1",
        ] {
            #expect(try problems(text).contains { $0.hasPrefix("lanes") }, "\(text)")
        }
    }

    @Test("egress rules of a wrong shape or with wrong entries are errors that name their key")
    func refusesMalformedEgressRules() throws {
        for (text, key) in [
            ("egress.users = []", "egress.users: it is not a table"),
            ("egress.users = 1", "egress.users: it is not a table"),
            ("egress.users.alice = 1", "egress.users.alice: it is not a section"),
            ("[[egress.users.alice]]", "egress.users.alice: it is not a section"),
            ("egress.groups.g.deny = []", "egress.groups.g.deny: there is no such setting"),
            ("egress.groups.g.deny_hosts = \"x\"", "egress.groups.g.deny_hosts: it is not a list"),
            (
                "egress.groups.g.deny_hosts = [\"10.0.0.1\"]",
                "egress.groups.g.deny_hosts: “10.0.0.1” is not a host"
            ),
            ("egress.deny_networks = [1]", "egress.deny_networks: it is not a list"),
            ("egress.deny_networks = [\"10.0.0.1/8\"]", "egress.deny_networks: “10.0.0.1/8” has bits behind"),
            ("egress.users.\"a b\" = {}", "egress.users: “a b” is not the name"),
        ] {
            let problems = try problems(text)
            #expect(problems.count == 1 && problems.first?.hasPrefix(key) == true, "\(text): \(problems)")
        }
        #expect(
            try SettingsFile.parse("egress.deny_networks = []", path: "f").egress.everyone.denyNetworks
                .isEmpty)
    }

    @Test("a missing file, a directory and a file that is too large are errors")
    func refusesUnreadableFiles() throws {
        let directory = try TemporaryDirectory()
        #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: directory.file("none")) }
        #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: directory.path) }
        let large = try directory.write(
            String(repeating: "#", count: SettingsFile.maximumSize + 1), to: "large")
        #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: large) }
    }
}
