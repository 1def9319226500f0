import Glibc
import SluiceInterface
import TestKit
import Unix

extension TestService {
    /// Fetches a body of any bytes to its end, whether it is valid or not.
    ///
    /// - Returns: the job that has ended, and the bytes that its consumer received.
    /// - Throws: `TestFailure` past the deadline.
    func fetchWhole(
        _ url: String, within duration: Duration = Deadline.usual,
        _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws -> (job: Job, body: [UInt8]) {
        let opened = try open(url, change)
        let pipe = OwnedDescriptor(adopting: opened.body)
        var body: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        let deadline = Deadline(duration)
        while true {
            guard waitFor(CInt(POLLIN), on: pipe.rawValue, until: deadline) else {
                throw TestFailure("no end of the body after \(body.count) bytes: \(try show(opened.id))")
            }
            let count = read(pipe.rawValue, &chunk, chunk.count)
            guard count > 0 else { break }
            body += chunk[..<count]
        }
        return (try wait(opened.id, within: duration), body)
    }
}
