/// What a lane has given up before it hears from strangers, as it says itself.
public struct LaneConfinement: OptionSet, Sendable, Equatable {
    /// The bits, as they are in a packet.
    public let rawValue: Int

    /// From the bits of a packet; unknown ones mean nothing.
    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    /// Files, and looking into other processes: `landlock(7)`.
    public static let files = LaneConfinement(rawValue: 1)
    /// System calls: `seccomp(2)`.
    public static let calls = LaneConfinement(rawValue: 2)
    /// All there is.
    public static let full: LaneConfinement = [.files, .calls]

    /// What the kernel would not do, for people; empty where it is `full`.
    public var missing: [String] {
        [(Self.files, "landlock(7)"), (.calls, "seccomp(2)")].filter { !contains($0.0) }.map(\.1)
    }
}
