import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("The outcomes that outlast the service", .withoutForks)
struct OutcomeFileTests {
    let directory: TemporaryDirectory
    var path: String { directory.file("outcomes.jsonl") }

    init() throws { directory = try TemporaryDirectory() }

    private func job(_ number: Int, user: Int = 1000) -> Job {
        var job = Job(
            id: "job\(number)", url: "https://example.org/\"userID\":7/\(number)", userID: user, processID: 1,
            createdUsec: number, highWatermark: 2, lowWatermark: 1)
        job.state = .failed
        job.outcome = Outcome(.connectFailed, "line one\nline \"two\"")
        return job
    }

    private func open(limit: Int = 1000) -> (file: OutcomeFile, contents: OutcomeFile.Contents) {
        let file = OutcomeFile(directory: directory.path, limit: limit)
        return (file, file.load())
    }

    private func lineCount() throws -> Int {
        try readBytes(path).count { $0 == UInt8(ascii: "\n") }
    }

    @Test("appended outcomes survive a restart in order, and only the file's owner can read them")
    func outcomesSurviveRestart() throws {
        do {
            let (file, contents) = open()
            #expect(contents.jobs.isEmpty && contents.skipped == 0 && contents.problem == nil)
            for number in 0..<10 {
                #expect(file.append(EndedJob(job(number, user: 1000 + number % 2))) == nil)
            }
        }
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let contents = open().contents
        #expect(contents.jobs == (0..<10).map { job($0, user: 1000 + $0 % 2) })
        #expect(contents.skipped == 0)
    }

    @Test("the last outcomes of each user are remembered, however many another user has")
    func remembersLastOfEachUser() throws {
        do {
            let file = open(limit: 3).file
            #expect(file.append(EndedJob(job(0, user: 5))) == nil)
            for number in 1..<50 { #expect(file.append(EndedJob(job(number))) == nil) }
        }
        #expect(open(limit: 3).contents.jobs.map(\.id) == ["job0", "job47", "job48", "job49"])
        #expect(open(limit: 0).contents.jobs.isEmpty)
    }

    @Test("the file does not grow beyond twice the lines that are needed")
    func compactionBoundsFile() throws {
        do {
            let file = open(limit: 100).file
            for number in 0..<1000 {
                #expect(file.append(EndedJob(job(number, user: number % 10 == 0 ? 5 : 1000))) == nil)
                if number % 37 == 0 { #expect(try lineCount() <= 400) }
            }
            // The service now writes to the compacted file.
            #expect(file.append(EndedJob(job(1000))) == nil)
        }
        let expected = (0...1000).filter { $0 == 1000 || $0 % 10 == 0 || $0 >= 890 }
        #expect(open(limit: 100).contents.jobs.map(\.createdUsec) == expected)
        #expect(access(path + ".new", F_OK) != 0)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test("a reduced limit is applied, also to the file")
    func appliesReducedLimit() throws {
        do {
            let file = open(limit: 500).file
            for number in 0..<400 { #expect(file.append(EndedJob(job(number))) == nil) }
            file.limit = 10
            #expect(file.append(EndedJob(job(400))) == nil)
        }
        #expect(try lineCount() == 10)
        #expect(open(limit: 500).contents.jobs.map(\.createdUsec) == Array(391...400))
    }

    @Test("a half-written last line is skipped, and the line after it is complete")
    func skipsHalfWrittenLine() throws {
        do {
            let file = open().file
            for number in 0..<3 { #expect(file.append(EndedJob(job(number))) == nil) }
        }
        let whole = try readText(path)
        for cut in [1, 2, 40, 200] {
            try directory.write(String(whole.dropLast(cut)), to: "outcomes.jsonl")
            do {
                let (file, contents) = open()
                #expect(contents.jobs.map(\.id) == ["job0", "job1"])
                #expect(contents.skipped == 1)
                #expect(file.append(EndedJob(job(3))) == nil)
            }
            let (_, contents) = open()
            #expect(contents.jobs.map(\.id).last == "job3")
            // A line that lacks only its newline is complete again now.
            #expect(contents.jobs.count == (cut == 1 ? 4 : 3))
        }
    }

    @Test(
        "lines that are not jobs are skipped and counted",
        arguments: [
            "", "null", "{}", "[]", "{\"userID\":1000}", "{\"userID\":99999999999999999999}",
            "\"userID\":1000",
            "\u{0}\u{0}\u{0}", String(repeating: "{\"userID\":1,\"a\":", count: 20_000), "{\"userID\":1000",
        ])
    func skipsForeignLines(line: String) throws {
        do {
            let file = open().file
            #expect(file.append(EndedJob(job(1))) == nil)
        }
        try directory.write(line + "\n" + readText(path) + line + "\n", to: "outcomes.jsonl")
        let (file, contents) = open()
        #expect(contents.jobs.map(\.id) == ["job1"])
        #expect(contents.skipped == 2)
        #expect(contents.problem == nil)
        #expect(file.append(EndedJob(job(2))) == nil)
    }

    @Test("bytes that are not text, a job that has not ended, and a duplicate of a job are skipped")
    func skipsForeignContents() throws {
        do {
            let file = open().file
            var running = job(1)
            running.state = .streaming
            #expect(file.append(EndedJob(running)) == nil)
            for _ in 0..<2 { #expect(file.append(EndedJob(job(2))) == nil) }
        }
        let descriptor = try FileDescriptor.open(path, .writeOnly, options: .append)
        try descriptor.closeAfter {
            _ = try descriptor.writeAll((0..<100_000).map { _ in UInt8.random(in: 0...255) })
        }
        let contents = open().contents
        #expect(contents.jobs.map(\.id) == ["job2"])
        #expect(contents.skipped > 3)
    }

    @Test("damaged lines do not displace good ones, and the next compaction removes them")
    func damagedLinesDisplaceNoGoodOnes() throws {
        do {
            let file = open(limit: 5).file
            for number in 0..<5 { #expect(file.append(EndedJob(job(number))) == nil) }
        }
        let damaged = String(repeating: "{\"userID\":1000}\n", count: 3)
        try directory.write(readText(path) + damaged, to: "outcomes.jsonl")
        #expect(open(limit: 5).contents.jobs.count == 5)
        let more = String(repeating: "nonsense\n", count: 100)
        try directory.write(readText(path) + more, to: "outcomes.jsonl")
        #expect(open(limit: 5).contents.jobs.count == 5)
        #expect(try lineCount() < 10)
    }

    @Test(
        "100,000 lines are read in less than 5 s of processor time, because only the needed ones are decoded")
    func readsManyLinesQuickly() throws {
        let template = try {
            let file = open().file
            #expect(file.append(EndedJob(job(7_777_777))) == nil)
            return try readText(path)
        }()
        var text = ""
        text.reserveCapacity(template.utf8.count * 100_000)
        for number in 0..<100_000 {
            text += template.replacingSubstring("7777777", with: String(1_000_000 + number))
        }
        try directory.write(text, to: "outcomes.jsonl")
        let took = ProcessorTime.of {
            let contents = open(limit: 1000).contents
            #expect(contents.jobs.map(\.createdUsec) == Array(1_099_000..<1_100_000))
            #expect(contents.skipped == 0)
        }
        // The bound allows for a debug build. With a decoder for each line it takes thirty times as long.
        #expect(took < .seconds(5), "\(took)")
        #expect(try lineCount() == 1000)
    }

    @Test("a second process is locked out, and takes over when the first has gone")
    func locksOutSecondProcess() throws {
        var first: OutcomeFile? = open().file
        #expect(first?.append(EndedJob(job(1))) == nil)
        let (second, contents) = open()
        #expect(contents.problem == .inUse(path: directory.path))
        #expect(second.append(EndedJob(job(2))) == nil, "it has been said")
        first = nil
        #expect(second.append(EndedJob(job(3))) == .recovered(lost: 0))
        #expect(try lineCount() == 3)
    }

    @Test("a missing directory is reported once, and used when it exists")
    func usesDirectoryOnceItExists() throws {
        let file = OutcomeFile(directory: directory.file("later"), limit: 10)
        let missing = OutcomeFileError.system(
            path: directory.file("later"), call: "open", errno: .noSuchFileOrDirectory)
        #expect(file.load().problem == missing)
        for number in 0..<3 { #expect(file.append(EndedJob(job(number))) == nil) }
        try directory.makeDirectory("later")
        #expect(file.append(EndedJob(job(3))) == .recovered(lost: 0))
        #expect(file.append(EndedJob(job(4))) == nil)
        let text = try readText(directory.file("later/outcomes.jsonl"))
        #expect(text.split(separator: "\n").count == 5)
    }

    @Test("the outcomes that wait to be written are bounded, and lost outcomes are counted")
    func boundsWaitingOutcomes() throws {
        let file = OutcomeFile(directory: directory.file("later"), limit: 10_000)
        #expect(file.load().problem != nil)
        for number in 0..<2000 { #expect(file.append(EndedJob(job(number))) == nil) }
        try directory.makeDirectory("later")
        guard case .recovered(let lost) = file.flush() else {
            Issue.record("it has not recovered")
            return
        }
        let text = try readText(directory.file("later/outcomes.jsonl"))
        #expect(text.utf8.count <= OutcomeFile.mostWaiting)
        #expect(text.split(separator: "\n").count + lost == 2000)
        #expect(lost > 0)
    }

    @Test("anything else in the file's place is an error, and is not touched")
    func leavesOtherFilesUntouched() throws {
        #expect(mkfifo(path, 0o600) == 0)
        #expect(open().contents.problem == .notAFile(path: path))
        #expect(unlink(path) == 0)
        try directory.write("precious", to: "elsewhere")
        #expect(symlink(directory.file("elsewhere"), path) == 0)
        let problem = OutcomeFileError.system(path: path, call: "open", errno: .tooManySymbolicLinkLevels)
        #expect(open().contents.problem == problem)
        #expect(try readText(directory.file("elsewhere")) == "precious")
    }

    @Test("removing or emptying the file while it is in use does not lose later outcomes")
    func survivesRemovalOfFile() throws {
        let file = open(limit: 100).file
        #expect(file.append(EndedJob(job(1))) == nil)
        #expect(unlink(path) == 0)
        #expect(file.append(EndedJob(job(2))) == nil)
        #expect(try lineCount() == 1)
        #expect(truncate(path, 0) == 0)
        for number in 3..<500 { #expect(file.append(EndedJob(job(number))) == nil) }
        let text = try readText(path)
        #expect(!text.utf8.contains(0))
        #expect(text.contains("\"job499\""))
    }
}

extension String {
    fileprivate func replacingSubstring(_ part: String, with other: String) -> String {
        split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
