import EventLoop
import Glibc
import Testing
import Unix

@testable import SluiceDaemon

/// What the daemon does with a lane's standard error.
@Suite("What lanes say")
struct LaneWordsTests {
    /// The lines that the daemon passes on, from the text that a lane writes before it ends.
    private func lines(of text: [UInt8]) throws -> [String] {
        let pipe = try Pipe()
        let loop = try EventLoop()
        return try withExtendedLifetime(loop) {
            var lines: [String] = []
            let words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) { lines.append($0) }
            #expect(write(pipe.writeEnd.rawValue, text, text.count) == text.count)
            words.finish()
            return lines
        }
    }

    @Test("the daemon passes on each line, also a last line without a newline")
    func passesLinesOn() throws {
        #expect(try lines(of: Array("one\n\ntwo\nthree".utf8)) == ["one", "two", "three"])
        #expect(try lines(of: [0xff, 0x0a]) == ["\u{fffd}"])
        #expect(try lines(of: []) == [])
    }

    @Test("the daemon passes on no more than 4 KiB of what a lane writes in its life")
    func passesOnAtMost4KiB() throws {
        let lines = try lines(of: Array(repeating: UInt8(ascii: "x"), count: 10_000))
        #expect(lines.map(\.utf8.count) == [LaneWords.limit])
    }

    @Test("the daemon passes on a line at once while the lane runs")
    func passesLinesOnAtOnce() throws {
        let pipe = try Pipe()
        let loop = try EventLoop()
        var lines: [String] = []
        let words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) {
            lines.append($0)
            loop.stop()
        }
        #expect(write(pipe.writeEnd.rawValue, "so\nthat", 7) == 7)
        loop.run()
        #expect(lines == ["so"])
        words.finish()
        #expect(lines == ["so", "that"])
    }
}
