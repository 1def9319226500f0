import Glibc
import Logging
import TestKit
import Testing
import Unix

@testable import Systemd

@Suite("What goes into the journal")
struct JournalTests {
    private func record(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata)
        -> LogRecord
    {
        LogRecord(
            LogEvent(
                level: level, message: message, metadata: metadata, source: nil, file: "Module/File.swift",
                function: "run()", line: 7), inherited: ["SLUICE_JOB": "1", "user": "root"])
    }

    @Test(
        "a metadata key becomes a name that journald accepts",
        arguments: [
            ("SLUICE_JOB", "SLUICE_JOB"), ("MESSAGE_ID", "MESSAGE_ID"), ("ERRNO", "ERRNO"),
            ("job", "SLUICE_JOB"),
            ("http-status", "SLUICE_HTTP_STATUS"), ("a.b c", "SLUICE_A_B_C"), ("_PID", "SLUICE_PID"),
            ("1st", "SLUICE_1ST"), ("PRIORITY", "SLUICE_PRIORITY"), ("MESSAGE", "SLUICE_MESSAGE"),
            ("ü", nil), ("", nil), ("=\n", nil), ("a=b\nMESSAGE", "SLUICE_A_B_MESSAGE"),
        ] as [(String, String?)])
    func keysBecomeJournalNames(key: String, name: String?) {
        #expect(JournalField.name(forMetadataKey: key) == name)
    }

    @Test("a name has at most 64 bytes")
    func namesHaveAtMost64Bytes() {
        let upper = String(repeating: "A", count: 64)
        #expect(JournalField.name(forMetadataKey: upper) == upper)
        #expect(JournalField.name(forMetadataKey: upper + "A") == "SLUICE_" + upper.prefix(57))
    }

    @Test("a value may contain newlines and zero bytes; a long one is cut between two characters")
    func valuesMayContainNewlinesAndZeros() {
        #expect(JournalField("A", "x\u{0}=").bytes == Array("A=x\u{0}=\n".utf8))
        #expect(
            JournalField("A", "x\ny\u{0}=").bytes == Array("A\n".utf8) + [5, 0, 0, 0, 0, 0, 0, 0]
                + Array("x\ny\u{0}=\n".utf8))
        let long = JournalField("A", "x" + String(repeating: "ü", count: JournalField.longestValue))
        #expect(long.value.utf8.count <= JournalField.longestValue)
        #expect(long.value.hasSuffix("ü…"))
    }

    @Test(
        "an entry has message, priority, source location and metadata, the call's metadata before the logger's"
    )
    func entryHasAllFields() {
        let fields = record(
            .warning, "job failed", ["SLUICE_JOB": "17", "MESSAGE_ID": "ab", "reason": "a \"b\""]
        )
        .journalFields(identifier: "sluiced")
        #expect(
            fields.map { "\($0.name)=\($0.value)" } == [
                #"MESSAGE=job failed job=17 reason="a \"b\"" user=root"#,
                "PRIORITY=4", "SYSLOG_IDENTIFIER=sluiced",
                "CODE_FILE=Module/File.swift", "CODE_LINE=7", "CODE_FUNC=run()",
                "MESSAGE_ID=ab", "SLUICE_JOB=17", #"SLUICE_REASON=a "b""#, "SLUICE_USER=root",
            ])
    }

    @Test("an entry never has more fields than journald accepts")
    func boundsNumberOfFields() {
        let many = Dictionary(uniqueKeysWithValues: (0..<5000).map { ("k\($0)", Logger.MetadataValue("v")) })
        #expect(record(.info, "x", many).journalFields(identifier: "x").count == LogRecord.mostFields + 6)
    }

    @Test("a logged line stays one line, whatever text a client has put into it")
    func lineStaysOneLine() {
        let evil = record(
            .error, "refused", ["name": "a\n<0>forged\u{1B}[2J", "SLUICE_JOB": "", "user": "x=y"])
        #expect(
            evil.line(identifier: "sluiced", withPriority: true)
                == #"<3>refused job="" name="a\n<0>forged\u{1b}[2J" user="x=y""# + "\n")
        #expect(
            evil.line(identifier: "sluiced", withPriority: false).hasPrefix("sluiced: error: refused job="))
        #expect(
            record(.notice, "a\nb", [:]).line(identifier: "s", withPriority: false)
                == "s: a\\nb job=1 user=root\n")
    }

    @Test("the journal is used only if standard error is the journal's stream")
    func choosesJournalByStandardError() {
        func choose(_ stream: String?, _ invocation: String?, isStream: Bool) -> LogDestination {
            .choose(journalStream: stream, invocation: invocation, standardError: (8, 15), isStream: isStream)
        }
        #expect(choose("8:15", "id", isStream: true) == .journal)
        #expect(choose("8:16", "id", isStream: true) == .prefixedLines)
        #expect(choose(nil, "id", isStream: true) == .prefixedLines)
        #expect(choose("8:16", "id", isStream: false) == .plainLines)
        #expect(choose(nil, nil, isStream: true) == .plainLines)
        #expect(choose("nonsense", nil, isStream: false) == .plainLines)
    }

    @Test("a child without a journal writes lines, and entries that are difficult to log do not crash it")
    func childWithoutJournalWritesLines() throws {
        let result = try Probe.run(["log"])
        #expect(result.exit == .exited(0))
        #expect(result.lines == ["destination: plainLines"])
        #expect(result.errors.contains("systemd-probe: job complete job=17 bytes=42 host=\"a b\"\n"))
        #expect(result.errors.contains("detail=\"first\\nsecond\\u{0}third\""))
    }

    /// Sends an entry with only a message, and a report with the numbers where entries were dropped.
    private func send(_ text: String, isRecord: Bool = false, to socket: JournalSocket) {
        socket.send([JournalField("M", text)], isRecord: isRecord) { losses in
            [JournalField("M", "dropped \(losses.entries), records \(losses.records)")]
        }
    }

    /// Collects messages until the last of them has arrived.
    private func messages(of journal: DatagramSocket, upTo last: String) throws -> [String] {
        var all: [String] = []
        try eventually("the journal has got \(last)") {
            all += journal.messages().filter { $0.hasPrefix("M=") }
            return all.last == "M=\(last)\n"
        }
        return all
    }

    @Test("a full journal does not delay the program: entries wait, and arrive in order once there is room")
    func entriesWaitForRoom() throws {
        let journal = try DatagramSocket()
        let filler = try DatagramSocket()
        let socket = JournalSocket(path: journal.path)
        send("a", to: socket)
        #expect(journal.messages() == ["M=a\n"])
        try filler.fill(journal)
        for number in 0..<1000 { send("\(number)", isRecord: number % 2 == 0, to: socket) }
        send("end", to: socket)
        let expected = (0..<1000).map { "M=\($0)\n" } + ["M=end\n"]
        #expect(try messages(of: journal, upTo: "end") == expected)
        #expect(socket.lostInAll == JournalLosses())
        // The thread that has sent them has ended: the thread that logs the next entry sends it.
        socket.flush(within: .seconds(10))
        send("z", to: socket)
        #expect(journal.messages() == ["M=z\n"])
    }

    @Test("noise never takes the place of records; lost entries are counted, and the count is logged")
    func noiseNeverDisplacesRecords() throws {
        let journal = try DatagramSocket()
        let filler = try DatagramSocket()
        let socket = JournalSocket(path: journal.path, limit: 8000)
        try filler.fill(journal)
        // 6 bytes each: 166 of them fill an eighth of the room.
        for _ in 0..<1000 { send("bbb", to: socket) }
        let noise = socket.lostInAll
        #expect(noise.records == 0 && noise.entries > 800 && noise.entries < 1000)
        for number in 100..<900 { send("\(number)", isRecord: true, to: socket) }
        #expect(socket.lostInAll == noise)
        // Now the rest of the room is full, too.
        for _ in 0..<1000 { send("ccc", isRecord: true, to: socket) }
        let losses = socket.lostInAll
        #expect(losses.records > 600 && losses.entries == noise.entries + losses.records)
        // The first entry for which there is room again reports the losses of records.
        var all: [String] = []
        try eventually("the journal has got what was not lost") {
            all += journal.messages()
            return all.count { $0 == "M=ccc\n" } == 1000 - Int(losses.records)
        }
        socket.flush(within: .seconds(10))
        send("end", to: socket)
        all += try messages(of: journal, upTo: "end")
        #expect(all.contains("M=dropped \(noise.entries), records 0\n"))
        #expect(all.suffix(2).first == "M=dropped \(losses.records), records \(losses.records)\n")
        for number in 100..<900 { #expect(all.contains("M=\(number)\n")) }
    }

    @Test("a journal that takes entries more slowly than they arrive is behind; one that takes none is hung")
    func distinguishesBehindFromHung() throws {
        var backlog = JournalBacklog(limit: 100)
        let entry = JournalEntry(bytes: [UInt8](repeating: 0, count: 20), isRecord: true)
        let now = ContinuousClock.now
        // The first call must start the thread, which the others find running.
        let starts = (0..<4).map { _ in backlog.append(entry) }
        #expect(starts == [true, false, false, false])
        #expect(backlog.bytes == 80 && !backlog.isBehind(at: now))
        let next = backlog.next()
        let first = try #require(next)
        backlog.done(first, isSent: true, at: now)
        #expect(backlog.isBehind(at: now + .seconds(1)))
        #expect(!backlog.isBehind(at: now + .seconds(6)))
    }

    @Test(
        "a journal that is created anew is found again, and does not delay the program either", .withoutForks)
    func findsRecreatedJournal() throws {
        let journal = try DatagramSocket()
        let filler = try DatagramSocket()
        let socket = JournalSocket(path: journal.path)
        send("a", to: socket)
        try journal.unbind()
        // No process listens.
        send("b", to: socket)
        let new = try journal.remade()
        send("c", to: socket)
        #expect(new.messages() == ["M=dropped 1, records 0\n", "M=c\n"])
        try filler.fill(new)
        for _ in 0..<1000 { send("d", to: socket) }
        send("e", to: socket)
        #expect(try messages(of: new, upTo: "e").count == 1001)
    }

    @Test("an entry that is too large for a datagram comes in a memory file that no process can change")
    func largeEntryComesInSealedFile() throws {
        let journal = try DatagramSocket()
        let value = String(repeating: "x", count: JournalField.longestValue)
        JournalSocket(path: journal.path).send((0..<70).map { JournalField("M\($0)", value) }) { _ in [] }
        let message = try journal.receiveFile()
        #expect(message.count == 70 * (JournalField.longestValue + 4) + 60)
        #expect(message.starts(with: "M0=xx".utf8))
    }
}
