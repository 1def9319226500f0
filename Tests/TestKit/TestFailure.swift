/// What a helper throws when a test cannot go on: a sentence for the person who reads the log.
public struct TestFailure: Error, CustomStringConvertible, Sendable {
    /// The sentence.
    public let description: String

    /// With the sentence, and the values that explain it.
    public init(_ description: String) {
        self.description = description
    }
}
