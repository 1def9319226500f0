import EventLoop
import Glibc
import Logging
import SluiceCore
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("What the settings come to for each user")
struct UserPolicyTests {
    /// A user database that answers when the test says so.
    private final class Directory: Sendable {
        let questions = Monitor<[UInt32]>([])
        private let answers = Monitor<[UInt32: UserIdentity?]>([:])

        func lookUp(_ userID: UInt32, _ groups: [String]) -> UserIdentity? {
            questions.update { $0.append(userID) }
            _ = answers.wait(until: Deadline(.seconds(30))) { $0[userID] != nil }
            return answers.update { $0[userID] ?? nil }
        }

        func answer(_ userID: UInt32, _ identity: UserIdentity?) {
            answers.update { _ = $0.updateValue(identity, forKey: userID) }
        }
    }

    /// A policy on a loop of its own. The loop runs while the test waits for something.
    private struct Scene {
        let loop: EventLoop
        let directory = Directory()
        let policy: UserPolicy

        init(_ settings: Settings) throws {
            let loop = try EventLoop()
            self.loop = loop
            let directory = directory
            policy = UserPolicy(
                loop: loop, settings: settings,
                log: ServiceLog(Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }),
                lookUp: { directory.lookUp($0, $1) })
        }

        /// Runs the loop. As soon as the condition of a step holds, its action runs, and the next step follows.
        func play(_ steps: [(until: () -> Bool, does: () -> Void)]) {
            var rest = steps[...]
            let deadline = Deadline(.seconds(30))
            func look() {
                while let step = rest.first, step.until() {
                    step.does()
                    rest = rest.dropFirst()
                }
                if rest.isEmpty || deadline.hasPassed { return loop.stop() }
                loop.after(.milliseconds(5)) { look() }
            }
            look()
            loop.run()
            #expect(rest.isEmpty, "\(rest.count) of \(steps.count) steps were not reached")
        }
    }

    private static func settings() -> Settings {
        var settings = Settings()
        settings.egress.users["alice"] = Settings.Egress.Lists()
        settings.egress.users["alice"]?.denyHosts = ["alice.test"]
        settings.egress.groups["guests"] = Settings.Egress.Lists()
        settings.egress.groups["guests"]?.denyHosts = ["guests.test"]
        return settings
    }

    @Test("no user is looked up if the settings name no users or groups")
    func looksUpNoUserWithoutNames() throws {
        let scene = try Scene(Settings())
        var isKnown = false
        scene.policy.whenKnown(1000) { isKnown = true }
        #expect(isKnown)
        #expect(scene.policy.egress(for: 1000) == Settings.Egress().rules(names: [], memberships: []).compact)
        #expect(scene.directory.questions.read { $0.isEmpty })
    }

    @Test("a job waits for the answer about its own user only, and later jobs do not wait")
    func jobsWaitForTheirUser() throws {
        let scene = try Scene(Self.settings())
        var known: [String] = []
        for name in ["first", "second"] { scene.policy.whenKnown(1000) { known.append(name) } }
        scene.policy.whenKnown(1001) { known.append("other") }
        #expect(known.isEmpty)
        #expect(scene.policy.egress(for: 1000) == Self.settings().egress.strictestRules().compact)
        scene.directory.answer(1001, UserIdentity(names: ["1001"], memberships: ["guests"]))
        scene.play([
            (
                until: { known == ["other"] },
                does: {
                    scene.directory.answer(1000, UserIdentity(names: ["1000", "alice"], memberships: []))
                }
            ), (until: { known == ["other", "first", "second"] }, does: {}),
        ])
        scene.policy.whenKnown(1000) { known.append("third") }
        #expect(known.last == "third")
        #expect(scene.policy.egress(for: 1000).contains("alice.test"))
        #expect(!scene.policy.egress(for: 1000).contains("guests.test"))
        #expect(scene.policy.egress(for: 1001).contains("guests.test"))
        #expect(scene.directory.questions.read { $0.sorted() } == [1000, 1001])
    }

    @Test(
        "the strictest rules apply at once if the lookup fails, and after a while if the directory does not answer"
    )
    func missingAnswerMeansStrictestRules() throws {
        let scene = try Scene(Self.settings())
        scene.directory.answer(1, nil)
        var known: [UInt32] = []
        let start = ContinuousClock.now
        for user in [1, 2] as [UInt32] { scene.policy.whenKnown(user) { known.append(user) } }
        scene.play([
            (until: { known == [1] }, does: {}),
            (
                until: { known == [1, 2] },
                does: {
                    #expect(ContinuousClock.now - start >= UserPolicy.patience)
                    for user in [1, 2] as [UInt32] {
                        #expect(
                            scene.policy.egress(for: user) == Self.settings().egress.strictestRules().compact)
                    }
                    // A late answer still counts for the next job.
                    scene.directory.answer(2, UserIdentity(names: ["2"], memberships: []))
                }
            ), (until: { !scene.policy.egress(for: 2).contains("guests.test") }, does: {}),
        ])
    }

    @Test("after a reload a user's old rules apply until the user has been looked up again")
    func oldRulesApplyDuringReload() throws {
        let scene = try Scene(Self.settings())
        var isKnown = false
        scene.directory.answer(7, UserIdentity(names: ["7"], memberships: ["guests"]))
        scene.policy.whenKnown(7) { isKnown = true }
        var settings = Self.settings()
        settings.egress.groups["guests"]?.denyHosts = ["new.test"]
        scene.play([
            (
                until: { isKnown },
                does: {
                    scene.policy.apply(settings)
                    #expect(scene.policy.egress(for: 7).contains("guests.test"))
                    isKnown = false
                    scene.policy.whenKnown(7) { isKnown = true }
                    #expect(!isKnown)
                }
            ), (until: { isKnown }, does: {}),
        ])
        #expect(scene.policy.egress(for: 7).contains("new.test"))
        scene.policy.apply(Settings())
        #expect(scene.policy.egress(for: 7) == Settings.Egress().rules(names: [], memberships: []).compact)
    }

    @Test("the machine's directory knows root and its groups, and reports which names it does not know")
    func readsRealDirectory() throws {
        let root = try #require(
            UserDirectory.identity(of: 0, among: ["root", "0", "daemon", "no-such-group"]))
        #expect(root.names == ["root", "0"])
        #expect(root.memberships.isSuperset(of: ["root", "0"]))
        #expect(!root.memberships.contains("no-such-group"))
        let nobody = try #require(UserDirectory.identity(of: 4_000_000_000, among: ["root"]))
        #expect(nobody == UserIdentity(names: ["4000000000"], memberships: [], hasEntry: false))
        #expect(UserDirectory.unknown(users: ["root", "12345", "no-such-user"]) == ["no-such-user"])
        #expect(UserDirectory.unknown(groups: ["root", "no-such-group"]) == ["no-such-group"])
    }

    @Test(
        "a known user stays admitted if the directory gives no answer at a reload, and no user is expelled"
    )
    func failedLookupExpelsNoUser() throws {
        var settings = Settings()
        settings.users.groups["guests"] = Settings.Users.Part()
        settings.users.groups["guests"]?.isAllowed = false
        let scene = try Scene(settings)
        var known = false
        scene.directory.answer(7, UserIdentity(names: ["7"], memberships: []))
        scene.policy.whenKnown(7) { known = true }
        scene.play([
            (
                until: { known },
                does: {
                    #expect(scene.policy.share(for: 7).isAllowed)
                    known = false
                    scene.directory.answer(7, nil)
                    settings.limits.jobsPerUser = 5
                    scene.policy.apply(settings)
                    scene.policy.whenKnown(7) { known = true }
                    scene.policy.whenKnown(8) {}
                }
            ), (until: { known }, does: {}),
        ])
        #expect(scene.policy.share(for: 7).isAllowed && scene.policy.share(for: 7).jobs == 5)
        // Nothing is known about this user: it is not admitted, and not expelled.
        #expect(!scene.policy.share(for: 8).isAllowed && !scene.policy.isDenied(8))
        // Root and the service's own user are admitted, whatever is known.
        #expect(scene.policy.share(for: 0).isAllowed && scene.policy.share(for: geteuid()).isAllowed)
    }

    @Test(
        "a user has the smallest shares until it is known, then those of the directory and the settings"
    )
    func sharesFollowDirectoryAndSettings() throws {
        var settings = Settings()
        settings.users.groups["guests"] = Settings.Users.Part()
        settings.users.groups["guests"]?.lanes = 2
        settings.users.groups["staff"] = Settings.Users.Part()
        settings.users.groups["staff"]?.weight = 5
        let scene = try Scene(settings)
        #expect(scene.policy.share(for: 1000).lanes == 2 && scene.policy.share(for: 1000).weight == 1)
        var known: [UInt32] = []
        scene.policy.onUserKnown = { known.append($0) }
        scene.directory.answer(1000, UserIdentity(names: ["1000", "alice"], memberships: ["staff"]))
        scene.policy.whenKnown(1000) {}
        scene.play([
            (
                until: { known == [1000] },
                does: {
                    let share = scene.policy.share(for: 1000)
                    #expect(share.lanes == nil && share.weight == 5)
                    // The setting for all users changes, and so the user is looked up again.
                    settings.limits.jobsPerUser = 7
                    #expect(scene.policy.apply(settings))
                }
            ), (until: { scene.policy.share(for: 1000).jobs == 7 }, does: {}),
        ])
        settings.users = Settings.Users()
        #expect(!scene.policy.apply(settings))
        #expect(scene.policy.share(for: 1000).weight == 1 && scene.policy.share(for: 1000).jobs == 7)
    }
}
