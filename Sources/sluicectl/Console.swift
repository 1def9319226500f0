import ArgumentParser
import Glibc
import SluiceClient
import SluiceInterface
import SystemPackage

/// What is said to people and programs: data on standard output, everything else on standard error.
enum Console {
    /// Writes data.
    ///
    /// - Throws: the exit with `.consumerGone`, in silence, where nobody reads any more; `.local`.
    static func write(_ text: String) throws {
        do {
            _ = try FileDescriptor.standardOutput.writeAll(text.utf8)
        } catch Errno.brokenPipe {
            throw ExitCode(ExitStatus.consumerGone.rawValue)
        } catch let error as Errno {
            throw SluiceError(.local, "the output cannot be written: \(error)")
        }
    }

    /// Writes a value as a line of JSON.
    static func writeJSON(_ value: some Encodable) throws {
        try write(try JSONText.encode(value) + "\n")
    }

    /// Says what went wrong, and what to do.
    static func report(_ error: SluiceError) {
        note(error.description)
    }

    /// Says how a job ended.
    static func report(_ outcome: Outcome, remedy: String? = nil) {
        let text = (remedy ?? outcome.remedy).map { "\(outcome.message); \($0)" } ?? outcome.message
        note(text)
    }

    /// A line on standard error, under our name.
    static func note(_ text: String) {
        line("sluicectl: \(Terminal.printable(text))")
    }

    /// A line on standard error, in one piece.
    static func line(_ text: String) {
        // Where even this cannot be written, there is nobody to tell.
        _ = try? FileDescriptor.standardError.writeAll("\(text)\n".utf8)
    }

    /// Now, as the jobs tell their times.
    static var nowUsec: Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }
}
