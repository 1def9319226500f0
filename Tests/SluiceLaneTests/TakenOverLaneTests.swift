import CUnix
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix

/// What a lane can do that a server has taken over: a replica of a lane confines itself as lanes do, and then tries
/// to escape.
@Suite("A lane that was taken over")
struct TakenOverLaneTests {
    /// Kernels, as versions of Landlock: the newest here, Debian 12's (Linux 6.1: no scopes for signals and sockets, no
    /// rules for the network), and one without Landlock.
    static let kernels = ["any", "2", "0"]

    /// What a lane needs to fetch.
    static let needed: Set<String> = [
        "read /etc/hosts", "start a thread", "look a name up", "have a socket", "have a pair",
    ]

    @Test(
        "every attempt on the daemon, another lane, files, sockets and the kernel fails, with and without Landlock",
        arguments: kernels, EscapeBench.users)
    func everyEscapeAttemptFails(kernel: String, user: UInt32?) throws {
        let bench = try EscapeBench(user: user)
        for victim in [try bench.victim("free"), try bench.victim(kernel)] {
            let report = try bench.attempts(kernel, on: victim)
            // Only Landlock restricts which files of its user a process can read.
            let files: Set<String> = kernel == "0" ? ["read a file", "list a directory"] : []
            #expect(report.can == Self.needed.union(files))
            #expect(report.cannot.count > 90)
        }
    }

    @Test("the attempts are real: they succeed in a process that is not confined")
    func attemptsAreReal() throws {
        let bench = try EscapeBench(user: nil)
        let report = try bench.attempts("free", on: try bench.victim("free"))
        #expect(
            report.can.isSuperset(of: [
                "set another's limits", "set another's policy", "set another's priority", "signal another",
                "signal another's thread", "queue a signal", "signal by a directory",
                "have the kernel signal",
                "hold another", "connect to the service", "write to the journal", "bind for datagrams",
                "listen",
                "have a socket that lingers", "start a process", "start a program", "become a program",
                "have a memory file", "write a file", "read a file", "list a directory", "remove a file",
            ]), "\(report.cannot)")
    }

    @Test("abort(3) still ends a lane, and so does a system call of another architecture")
    func abortStillEndsLane() throws {
        let probe = try Products.path("escape-probe")
        #expect(try Program.run(probe, ["abort", "any"]).exit == .signalled(SIGABRT))
        #if arch(x86_64)
        // Where the kernel does not support i386, the instruction is a fault.
        let exit = try Program.run(probe, ["i386", "any"]).exit
        #expect(exit == .signalled(SIGSYS) || exit == .signalled(SIGSEGV), "\(exit)")
        #endif
    }

    @Test("a lane reports its confinement, all of its threads are confined, and none has a capability")
    func confinesAllThreads() throws {
        let pattern = Pattern(seed: 5)
        let origin = try BadOrigin { try $0.respond(headers: [], pattern: pattern, count: 1000) }
        let lane = try LaneBench()
        #expect(lane.all.contains(.ready(wire: LaneReport.wire, confinement: .full)))
        let facts = try lane.run(.test(origin.url()), of: LaneTestJob(pattern))
        #expect(facts.outcome.code == .complete)
        let process = lane.program.processID
        let tasks = try Program.run("/bin/ls", ["/proc/\(process)/task"]).successful().output
        let threads = tasks.split(separator: "\n").compactMap { task in
            // A thread of libdispatch may have ended meanwhile.
            try? readText("/proc/\(process)/task/\(task)/status")
        }
        #expect(threads.count > 1)
        for thread in threads {
            #expect(thread.contains("\nSeccomp:\t2\n"))
            #expect(thread.contains("\nNoNewPrivs:\t1\n"))
            #expect(thread.contains("\nCapPrm:\t0000000000000000\n"))
        }
    }
}

/// The processes and files that the replica needs around it.
final class EscapeBench {
    struct Report {
        var can: Set<String> = []
        var cannot: Set<String> = []
    }

    /// Its own user, and another user where the test may become that user.
    static let users: [UInt32?] = {
        let nobody: UInt32 = 65534
        guard geteuid() == 0, let probe = try? Products.path("escape-probe") else { return [nil] }
        let started = try? Program.run("/usr/bin/setpriv", privileges(of: nobody) + [probe])
        // EX_USAGE shows that the program runs.
        return started?.exit == .exited(64) ? [nil, nobody] : [nil]
    }()

    private static func privileges(of user: UInt32) -> [String] {
        ["--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--inh-caps=-all"]
    }

    private let user: UInt32?
    private let directory: TemporaryDirectory
    private let listener: OwnedDescriptor
    private let journal: OwnedDescriptor
    /// The victims' standard input is the other end of this pipe: they end with this value.
    private let lifeline: Pipe
    private var victims: [Program] = []

    init(user: UInt32?) throws {
        self.user = user
        directory = try TemporaryDirectory("sluice-escape")
        lifeline = try Pipe()
        listener = try UnixSocket.listen(path: directory.file("stream"), mode: 0o666)
        journal = OwnedDescriptor(
            adopting: socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard cunix_bind_unix(journal.rawValue, directory.file("datagrams")) == 0 else {
            throw Errno(rawValue: errno)
        }
        chmod(directory.file("datagrams"), 0o666)
        let store = try directory.makeDirectory("store", mode: 0o700)
        let files = try ["secret", "empty", "removable"].map { try directory.write("x", to: "store/\($0)") }
        if let user {
            for path in [store] + files { chown(path, user, user) }
        }
    }

    private func start(_ arguments: [String]) throws -> Program {
        var command = [try Products.path("escape-probe")] + arguments
        if let user { command = ["/usr/bin/setpriv"] + Self.privileges(of: user) + command }
        return try Program(
            command[0], Array(command.dropFirst()), standardInput: lifeline.readEnd.rawValue)
    }

    /// A process that waits, as the daemon does (`free`) or as another lane.
    func victim(_ kernel: String) throws -> Program {
        let victim = try start(["wait", kernel])
        _ = try victim.line { $0 == "ready" }
        victims.append(victim)
        return victim
    }

    func attempts(_ kernel: String, on victim: Program) throws -> Report {
        let arguments = [
            "try", kernel, "\(victim.processID)", directory.file("store"), directory.file("stream"),
            directory.file("datagrams"),
        ]
        let result = try start(arguments).wait().successful()
        var report = Report()
        for line in result.output.split(separator: "\n").map(String.init) {
            if line.hasPrefix("can ") { report.can.insert(String(line.dropFirst(4))) }
            if line.hasPrefix("cannot ") { report.cannot.insert(String(line.dropFirst(7))) }
        }
        #expect(result.output.hasSuffix("end\n"))
        #expect(victim.isRunning)
        return report
    }
}
