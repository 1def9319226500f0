internal import Glibc
public import Unix

/// The names under which descriptors are put into the service manager's store.
///
/// All names are passed to the next process in one environment variable (LISTEN_FDNAMES), and Linux accepts none that
/// is longer than 128 KiB: with a longer one the service could never be started again. With names of four characters
/// and the separators, 8,192 descriptors need 40 KiB.
public enum StoredName {
    /// Maximum length, in characters, which are bytes.
    public static let longest = 4

    /// Whether `name` is one that this module gives: one to four of a-z and 0-9.
    public static func isValid(_ name: String) -> Bool {
        (1...longest).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
    }

    /// Whether a descriptor with this name may have come from the store.
    static func mayBeOurs(_ name: String) -> Bool {
        // `stored` is the manager's name for descriptors that were stored without one.
        isValid(name) || name == "stored"
    }
}

/// What an earlier process of this service left in the service manager's store, grouped by name.
///
/// Owns the groups that are not taken out yet.
public struct StoredDescriptors: ~Copyable, Sendable {
    private var groups: [String: [CInt]]

    init(adopting groups: [String: [CInt]]) {
        self.groups = groups
    }

    deinit {
        for descriptor in groups.values.joined() { close(descriptor) }
    }

    /// The names of the groups left, sorted.
    public var names: [String] { groups.keys.sorted() }

    /// How many descriptors are left, in all groups.
    public var count: Int { groups.values.reduce(0) { $0 + $1.count } }

    /// Takes out all descriptors of a name; nil where there are none left.
    public mutating func take(_ name: String) -> StoredGroup? {
        guard let descriptors = groups.removeValue(forKey: name) else { return nil }
        return StoredGroup(name: name, adopting: descriptors)
    }
}

/// The descriptors that were stored under one name. The order in which they were stored is lost, so they are told
/// apart by their kinds.
///
/// Owns the descriptors that are not taken out yet.
public struct StoredGroup: ~Copyable, Sendable {
    /// The name under which they were stored (FDNAME).
    public let name: String
    private var entries: [(descriptor: CInt, kind: DescriptorKind)]

    init(name: String, adopting descriptors: [CInt]) {
        self.name = name
        entries = descriptors.map { descriptor in
            let owned = OwnedDescriptor(adopting: descriptor)
            let kind = DescriptorKind(of: owned)
            return (owned.release(), kind)
        }
    }

    deinit {
        for entry in entries { close(entry.descriptor) }
    }

    /// The kinds of the descriptors left, in no order.
    public var kinds: [DescriptorKind] { entries.map(\.kind) }

    /// Takes out a descriptor of this kind; nil where none is left.
    public mutating func take(_ kind: DescriptorKind) -> OwnedDescriptor? {
        guard let index = entries.firstIndex(where: { $0.kind == kind }) else { return nil }
        return OwnedDescriptor(adopting: entries.remove(at: index).descriptor)
    }
}
