/// The error of a helper when a test cannot continue: a sentence for the reader of the log.
public struct TestFailure: Error, CustomStringConvertible, Sendable {
    /// The sentence.
    public let description: String

    /// Creates an error with a sentence, and the values that explain it.
    public init(_ description: String) {
        self.description = description
    }
}
