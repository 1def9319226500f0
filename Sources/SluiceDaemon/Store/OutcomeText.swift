internal import CUnix
internal import FoundationEssentials
internal import Glibc
internal import SluiceInterface

/// The text of an outcome file, with the places and the users of its lines. The text is untrusted.
struct OutcomeText {
    /// A line that names a user. It need not be a valid job.
    struct Line {
        /// The line's place in the file, including the newline.
        var range: OutcomeStorage.Extent
        var user: UInt32
    }

    private let bytes: [UInt8]
    /// The offset of the bytes in the file.
    private let start: Int
    /// The lines that name a user, in the order of the file.
    let lines: [Line]
    /// The number of all lines, valid or not. If the bytes do not begin at the start of the file, a very large number,
    /// so that the file is compacted.
    let count: Int
    /// The number of lines without a user.
    private let strays: Int

    /// Finds the lines without decoding them. That is a hundred times faster, and most lines are not needed.
    init(_ bytes: [UInt8], at start: Int) {
        self.bytes = bytes
        self.start = start
        var found: [Line] = []
        // If the bytes begin in the middle of a line, the rest of that line is skipped.
        var count = start > 0 ? 1_000_000_000 : 0
        var strays = 0
        bytes.withUnsafeBytes { text in
            var position = start > 0 ? Self.lineEnd(text, 0) : 0
            while position < text.count {
                let end = Self.lineEnd(text, position)
                let line = UnsafeRawBufferPointer(rebasing: text[position..<end])
                count += 1
                // A line without its newline, at the end of the file, is incomplete and not kept.
                if line.last == UInt8(ascii: "\n"), let user = Self.user(line) {
                    found.append(Line(range: .init(offset: start + position, length: line.count), user: user))
                } else {
                    strays += 1
                }
                position = end
            }
        }
        lines = found
        self.count = count
        self.strays = strays
    }

    /// Decodes the last jobs of each user.
    ///
    /// - Parameters:
    ///   - limit: the maximum number of jobs of each user.
    ///   - skipped: increased by the number of examined lines that are not valid jobs.
    /// - Returns: the jobs in the order of the file.
    func jobs(limit: Int, skipped: inout Int) -> [Job] {
        skipped += strays
        var counts: [UInt32: Int] = [:]
        var seen: Set<String> = []
        var jobs: [Job] = []
        let decoder = JSONDecoder()
        for line in lines.reversed() where counts[line.user, default: 0] < limit {
            let offset = line.range.offset - start
            guard
                let job = try? decoder.decode(
                    Job.self, from: Data(bytes[offset..<offset + line.range.length])),
                job.state.isFinal, job.outcome != nil, job.userID == Int(line.user),
                seen.insert(job.id).inserted
            else {
                skipped += 1
                continue
            }
            counts[line.user, default: 0] += 1
            jobs.append(job)
        }
        jobs.reverse()
        return jobs
    }

    /// The position behind the next newline, or the end of the text.
    private static func lineEnd(_ text: UnsafeRawBufferPointer, _ position: Int) -> Int {
        guard let base = text.baseAddress,
            let newline = memchr(base + position, CInt(UInt8(ascii: "\n")), text.count - position)
        else { return text.count }
        return UnsafeRawPointer(newline) - base + 1
    }

    /// The number that follows the key `userID`. JSON strings escape quotes, so these bytes can only be a key.
    private static func user(_ line: UnsafeRawBufferPointer) -> UInt32? {
        let key: StaticString = "\"userID\":"
        guard let base = line.baseAddress,
            let found = cunix_find(base, line.count, key.utf8Start, key.utf8CodeUnitCount)
        else { return nil }
        var number: UInt32 = 0
        var digits = 0
        for byte in line[(UnsafeRawPointer(found) - base + key.utf8CodeUnitCount)...] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { break }
            let (tens, over) = number.multipliedReportingOverflow(by: 10)
            let (sum, overAgain) = tens.addingReportingOverflow(UInt32(byte - UInt8(ascii: "0")))
            if over || overAgain { return nil }
            number = sum
            digits += 1
        }
        return digits > 0 ? number : nil
    }
}
