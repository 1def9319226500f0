import ArgumentParser
import Glibc
import SluiceClient
import SluiceInterface
import SystemPackage

/// Output for users and programs: data on standard output, everything else on standard error.
enum Console {
    /// Writes data.
    ///
    /// - Throws: an exit with `.consumerGone`, without a message, where the output has no reader any more; `.local`.
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

    /// Reports an error, with its remedy.
    static func report(_ error: SluiceError) {
        note(error.description)
    }

    /// Reports how a job ended.
    static func report(_ outcome: Outcome, remedy: String? = nil) {
        let text = (remedy ?? outcome.remedy).map { "\(outcome.message); \($0)" } ?? outcome.message
        note(text)
    }

    /// Writes a line on standard error, with the program's name.
    static func note(_ text: String) {
        line("sluicectl: \(Terminal.printable(text))")
    }

    /// Writes a line on standard error, in one piece.
    static func line(_ text: String) {
        // Where even this cannot be written, there is nowhere to report it.
        _ = try? FileDescriptor.standardError.writeAll("\(text)\n".utf8)
    }
}
