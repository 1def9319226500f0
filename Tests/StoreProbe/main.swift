// Carries out commands on the daemon's outcome file, in an environment that the test has made, such as a disk that is
// full: `store-probe DIRECTORY LIMIT` reads commands from its standard input, and answers each with a line.
//
//     load          begins anew, as a daemon that starts; says how many jobs, how many lines skipped, what is wrong
//     append N M    jobs with the numbers from N up to M
//     flush
import Glibc
import SluiceDaemon
import SluiceInterface
import SystemPackage

func job(_ number: Int) -> Job {
    var job = Job(
        id: "job\(number)", url: "https://example.org/\(number)", userID: 1000, processID: 1,
        createdUsec: number,
        highWatermark: 2, lowWatermark: 1)
    job.state = .failed
    job.outcome = Outcome(.connectFailed, "nobody there")
    return job
}

func say(_ what: String) {
    _ = try? FileDescriptor.standardOutput.writeAll((what + "\n").utf8)
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let limit = Int(arguments[2]) else { exit(64) }
var file: OutcomeFile?
while let line = readLine() {
    let words = line.split(separator: " ")
    let numbers = words.dropFirst().compactMap { Int($0) }
    switch words.first {
    case "load":
        file = nil
        let fresh = OutcomeFile(directory: arguments[1], limit: limit)
        let contents = fresh.load()
        file = fresh
        let problem = contents.problem.map { "\($0)" } ?? "nothing"
        say("\(contents.jobs.map(\.createdUsec)) skipped \(contents.skipped) wrong: \(problem)")
    case "append" where numbers.count == 2:
        let notes = (numbers[0]..<numbers[1]).compactMap { file?.append(EndedJob(job($0))) }
        say(notes.map { "\($0)" }.joined(separator: ", "))
    case "flush": say(file?.flush().map { "\($0)" } ?? "")
    default: exit(64)
    }
}
