import ArgumentParser
import FoundationEssentials
import Glibc
import SluiceClient
import SluiceInterface

/// The job ids that a shell offers when the user presses the tab key.
///
/// The completion script runs this program to get them. Where anything fails, it offers nothing and prints nothing: a
/// message would appear in the middle of the user's command line.
enum JobCompletion {
    /// Which jobs are worth offering.
    enum Choice {
        /// Running jobs, and ended jobs that the service remembers.
        case all
        /// Jobs that have not ended.
        case running
    }

    /// Maximum time that a user waits for a service that does not answer, in seconds.
    private static let limit: UInt32 = 2

    /// The ids of jobs, the latest first.
    static func ids(_ choice: Choice) -> CompletionKind {
        .custom { words, _, _ in
            // Ends the program: connecting waits while the service's queue is full, and nothing else interrupts it.
            signal(SIGALRM) { _ in _exit(0) }
            alarm(limit)
            let finder = ServiceFinder(
                explicit: socket(in: words), environment: ProcessInfo.processInfo.environment)
            guard let jobs = try? finder.find()?.list() else { return [] }
            return jobs.filter { choice == .all || !$0.state.isFinal }.map(\.id).reversed()
        }
    }

    /// The value of `--socket` in an incomplete command line. bash splits words at `=`.
    static func socket(in words: [String]) -> String? {
        guard let index = words.firstIndex(where: { $0 == "--socket" || $0.hasPrefix("--socket=") }) else {
            return nil
        }
        if words[index] != "--socket" { return String(words[index].dropFirst("--socket=".count)) }
        return words[(index + 1)...].first { $0 != "=" }
    }
}
