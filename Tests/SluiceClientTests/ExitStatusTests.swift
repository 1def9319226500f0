import Glibc
import SluiceClient
import SluiceInterface
import TestKit
import Testing

// The testing library has a type of this name, too.
private typealias ExitStatus = SluiceClient.ExitStatus

@Suite("The exit status") struct ExitStatusTests {
    @Test("is 0 for a complete body only", arguments: OutcomeCode.allCases)
    func isZeroOnlyForCompleteBody(code: OutcomeCode) {
        #expect((ExitStatus(of: code) == .complete) == (code == .complete))
        #expect(ExitStatus(of: code).rawValue != 1)
    }

    @Test("is 0 for an unverified body if the caller accepts such bodies")
    func unverifiedBodyCanBeAccepted() {
        #expect(ExitStatus(of: .completeUnverified) == .unverified)
        #expect(ExitStatus(of: .completeUnverified, acceptsUnverified: true) == .complete)
        #expect(ExitStatus(of: .truncated, acceptsUnverified: true) == .brokeOff)
    }

    @Test("keeps its numbers when others are added")
    func numbersAreStable() {
        let numbers: [ExitStatus: Int32] = [
            .complete: 0, .local: 1, .refused: 2, .noService: 3, .permissionDenied: 4, .noSuchJob: 5,
            .busy: 6,
            .noResponse: 10, .responseNotTaken: 11, .brokeOff: 12, .unverified: 13, .cancelled: 14,
            .consumerGone: 15, .limitReached: 16, .unchanged: 17, .digestMismatch: 18, .serviceTrouble: 20,
            .usage: 64, .commandNotRunnable: 126,
            .commandNotFound: 127, .hungUp: 129, .interrupted: 130, .terminated: 143,
        ]
        #expect(numbers.count == ExitStatus.allCases.count)
        for (status, number) in numbers { #expect(status.rawValue == number) }
    }

    @Test("is documented in the manual, with its meaning and the outcomes that lead to it")
    func isDocumentedInManual() throws {
        var parts = #filePath.split(separator: "/").dropLast(3)
        parts.append(contentsOf: ["man", "sluicectl.1"])
        // A literal hyphen is written with a backslash.
        let manual = try readText("/" + parts.joined(separator: "/")).filter { $0 != "\\" }
        for status in ExitStatus.allCases {
            #expect(manual.contains(".It \(status.rawValue)\n\(status.meaning)\n"), "\(status)")
        }
        let heading = try #require(manual.range(of: "leads to which status"))
        let table = manual[heading.upperBound...]
        for code in OutcomeCode.allCases where code != .complete {
            let entry = table.components(after: ".It \(ExitStatus(of: code).rawValue)\n")
            #expect(entry.contains(code.rawValue), "\(code)")
        }
    }

    @Test("of a signal is 128 plus its number")
    func signalStatusIs128PlusNumber() {
        #expect(ExitStatus(signal: SIGINT)?.rawValue == 128 + SIGINT)
        #expect(ExitStatus(signal: SIGTERM)?.rawValue == 128 + SIGTERM)
        #expect(ExitStatus(signal: SIGHUP)?.rawValue == 128 + SIGHUP)
        #expect(ExitStatus(signal: SIGUSR1) == nil)
    }
}

extension Substring {
    /// The words from a line up to the next entry of the list.
    fileprivate func components(after line: String) -> [String] {
        guard let start = range(of: line)?.upperBound else { return [] }
        let rest = self[start...]
        let entry = rest[..<(rest.range(of: "\n.")?.lowerBound ?? rest.endIndex)]
        return entry.split { $0 == " " || $0 == "," || $0 == "\n" }.map(String.init)
    }
}

extension StringProtocol {
    /// The range of a text. Foundation has such a function, but is not linked for this alone.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
