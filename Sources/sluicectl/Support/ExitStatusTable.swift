internal import SluiceClient
internal import SluiceInterface

extension ExitStatus {
    /// A line for each exit status.
    static var table: String {
        allCases.map { status in
            let number = "\(status.rawValue)"
            return "  " + String(repeating: " ", count: 3 - number.count) + "\(number)  \(status.meaning)"
        }.joined(separator: "\n")
    }
}
