import SluiceCore
import Testing

@Suite("What users and hosts may have")
struct ShareSettingsTests {
    private func part(_ change: (inout Settings.Users.Part) -> Void) -> Settings.Users.Part {
        var part = Settings.Users.Part()
        change(&part)
        return part
    }

    @Test("a user's own settings precede those of groups, and the most generous group precedes the defaults")
    func userSettingsPrecedeGroups() {
        var settings = Settings()
        settings.limits.ratePerUser = 2000
        settings.limits.maximumSize = 10
        settings.users.users["alice"] = part { $0.lanes = 4 }
        settings.users.groups["few"] = part {
            $0.lanes = 1
            $0.rate = 5000
            $0.weight = 2
            $0.maximumSize = 5
        }
        settings.users.groups["many"] = part {
            $0.rate = 0
            $0.weight = 7
            $0.jobs = 3
        }
        let nobody = settings.share(userID: 5, names: ["5"], memberships: [])
        #expect(
            nobody == UserShare(lanes: nil, jobs: 1000, weight: 1, rate: 2000, maximumSize: 10))
        let alice = settings.share(userID: 5, names: ["5", "alice"], memberships: ["few", "many"])
        #expect(alice == UserShare(lanes: 4, jobs: 3, weight: 7, rate: nil, maximumSize: 5))
        let one = settings.share(userID: 6, names: ["6", "bob"], memberships: ["few"])
        #expect(one == UserShare(lanes: 1, jobs: 1000, weight: 2, rate: 5000, maximumSize: 5))
        // The groups of this user are not known: the least of every share applies.
        let unknown = settings.share(userID: 6, names: ["6"], memberships: nil)
        #expect(unknown == UserShare(lanes: 1, jobs: 3, weight: 1, rate: 2000, maximumSize: 5))
        // The name of this user is not known either: entries for names may apply to it.
        settings.users.users["mallory"] = part { $0.isAllowed = false }
        settings.users.users["7"] = part { $0.lanes = 0 }
        #expect(settings.share(userID: 6, names: ["6"], memberships: []).isAllowed)
        #expect(
            !settings.share(userID: 6, names: ["6"], memberships: nil, isNameKnown: false).isAllowed)
    }

    @Test(
        "the user's own entry decides on access, then any group that allows it, then the rest; root always has access"
    )
    func decidesAccessInOrder() {
        var settings = Settings()
        func isAllowed(_ names: Set<String>, _ groups: Set<String>?, userID: UInt32 = 7) -> Bool {
            settings.share(userID: userID, names: names, memberships: groups).isAllowed
        }
        settings.users.groups["guests"] = part { $0.isAllowed = false }
        settings.users.groups["staff"] = part { $0.isAllowed = true }
        settings.users.users["mallory"] = part { $0.isAllowed = false }
        #expect(isAllowed([], []) && isAllowed([], ["staff"]) && isAllowed([], ["staff", "guests"]))
        #expect(!isAllowed([], ["guests"]) && !isAllowed(["mallory"], ["staff"]))
        #expect(!isAllowed([], nil) && isAllowed([], nil, userID: 0))
        settings.users.everyoneIsAllowed = false
        #expect(!isAllowed([], []) && isAllowed([], ["staff"]) && isAllowed(["mallory"], [], userID: 0))
    }

    @Test("the longest matching host name decides, separately for each key")
    func longestHostNameDecides() throws {
        var origins = Settings.Origins()
        #expect(origins.isEmpty)
        origins.everyone.connections = 9
        func limits(_ connections: Int?, _ rate: Int?) -> Settings.Origins.Limits {
            var limits = Settings.Origins.Limits()
            limits.connections = connections
            limits.rate = rate
            return limits
        }
        origins.hosts = [
            "example.org": limits(1, nil), ".example.org": limits(2, 2000),
            ".WWW.example.org.": limits(nil, 0),
            "192.0.2.1": limits(3, nil), "[2001:DB8::1]": limits(4, nil), "bücher.example": limits(5, nil),
        ]
        #expect(origins.limits(for: "example.org") == limits(1, 2000))
        #expect(origins.limits(for: "example.org.") == limits(1, 2000))
        #expect(origins.limits(for: "a.b.example.org") == limits(2, 2000))
        #expect(origins.limits(for: "x.www.example.org") == limits(2, 0))
        #expect(origins.limits(for: "notexample.org") == limits(9, nil))
        #expect(origins.limits(for: "192.0.2.1") == limits(3, nil))
        let literal = try RequestURL("http://[2001:db8::1]/").origin.host
        #expect(origins.limits(for: literal) == limits(4, nil))
        #expect(origins.limits(for: "xn--bcher-kva.example") == limits(5, nil))
    }

    @Test("a value out of range is reported with its section")
    func namesSectionOfBadValue() {
        var settings = Settings()
        settings.limits.rate = 5
        settings.limits.lanesPerUser = 1025
        settings.users.users["a"] = part {
            $0.weight = 0
            $0.jobs = 1025
            $0.rate = 1023
            $0.lanes = -1
            $0.maximumSize = -1
        }
        settings.users.groups["007"] = part { _ in }
        settings.origins.everyone.connections = 1025
        settings.origins.hosts["same.test"] = Settings.Origins.Limits()
        settings.origins.hosts["SAME.test."] = Settings.Origins.Limits()
        #expect(settings.problems().contains { $0.reason.contains("the same host") })
        settings.origins.hosts = ["a/b": Settings.Origins.Limits(), "any": Settings.Origins.Limits()]
        let problems = settings.problems()
        #expect(
            problems.map(\.parameter).sorted() == [
                "groups", "limits.lanes_per_user", "limits.rate", "origins", "origins",
                "origins.connections", "users.a.jobs", "users.a.lanes",
                "users.a.maximum_size",
                "users.a.rate", "users.a.weight",
            ])
    }
}
