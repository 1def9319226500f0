/// What a lane has given up before it reads untrusted data, as the lane itself reports it.
public struct LaneConfinement: OptionSet, Sendable, Equatable {
    /// The bits, as they are in a packet.
    public let rawValue: Int

    /// From the bits of a packet; unknown bits have no meaning.
    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    /// Access to files, and inspection of other processes: `landlock(7)`.
    public static let files = LaneConfinement(rawValue: 1)
    /// System calls that fetching does not need: `seccomp(2)`.
    public static let calls = LaneConfinement(rawValue: 2)
    /// Everything that a lane can give up.
    public static let full: LaneConfinement = [.files, .calls]

    /// The kernel features that could not be used, for messages; empty if the confinement is `full`.
    public var missing: [String] {
        [(Self.files, "landlock(7)"), (.calls, "seccomp(2)")].filter { !contains($0.0) }.map(\.1)
    }
}
