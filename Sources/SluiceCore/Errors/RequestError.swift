/// Why a request or a setting is refused: the parameter, what is wrong with it, and how to correct it.
public struct RequestError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The field of `Fetch`, or the key of the settings.
    public var parameter: String
    /// One line that names the value, shortened if it is long.
    public var reason: String
    /// One line that says what to do.
    public var remedy: String

    /// Creates an error.
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
