/// A request that is turned away at the door: which parameter, what is wrong with it, and what would be right.
public struct RequestError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The field of `Fetch`, or the key of the settings.
    public var parameter: String
    /// Names the value, shortened where it is long.
    public var reason: String
    /// One line.
    public var remedy: String

    /// An error.
    public init(parameter: String, reason: String, remedy: String) {
        self.parameter = parameter
        self.reason = reason
        self.remedy = remedy
    }

    /// One line with all three.
    public var description: String {
        "\(parameter): \(reason): \(remedy)"
    }
}
