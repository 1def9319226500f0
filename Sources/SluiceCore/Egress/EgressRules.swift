/// Where the jobs of one user may connect to: an ordered list of rules. The first rule that matches decides.
///
/// A request is judged twice: by its host, as the URL or a redirect names it, before a name server or a proxy is asked;
/// and by the address of each connection, before a byte is sent on it. Both must be allowed. An allowed name does not
/// allow its addresses, so the owner of a name cannot point it at a denied address (DNS rebinding). A host or an
/// address that no rule matches is allowed.
///
/// A decision goes through the list once and takes some nanoseconds for each rule.
public struct EgressRules: Sendable, Equatable {
    /// One rule.
    public struct Rule: Sendable, Equatable, CustomStringConvertible {
        /// True if a match is allowed, false if it is denied.
        let allows: Bool
        /// True for a rule about hosts, false for one about networks.
        let isOfHosts: Bool
        /// The section of the settings that contains it, such as `egress.users.alice`.
        let section: String
        let entry: EgressEntry

        /// The name of the list that contains it.
        var list: String { "\(allows ? "allow" : "deny")_\(isOfHosts ? "hosts" : "networks")" }

        /// `“private” in egress.deny_networks`
        public var description: String { "“\(entry.text)” in \(section).\(list)" }
    }

    /// The result of a check.
    public enum Decision: Sendable, Equatable {
        /// The connection may be made.
        case allowed
        /// The connection may not be made, because of this rule.
        case denied(Rule)
    }

    private let rules: [Rule]

    /// No rules: everything is allowed.
    public init() {
        rules = []
    }

    init(_ rules: [Rule]) {
        self.rules = rules
    }

    /// Whether everything is allowed.
    public var isEmpty: Bool { rules.isEmpty }

    // MARK: Decisions

    /// Judges a host, before its name is looked up. A host that is an address is judged as that, too.
    ///
    /// - Parameters:
    ///   - host: in the form of `Origin.host`.
    ///   - port: the port of the URL.
    public func decide(host: String, port: Int) -> Decision {
        let address = IPAddress(host: host)
        let name = host.utf8.last == UInt8(ascii: ".") ? host.dropLast() : host[...]
        let match = rules.first {
            $0.isOfHosts && $0.entry.matches(host: name, isAddress: address != nil, port: port)
        }
        if let match, !match.allows { return .denied(match) }
        return address.map { decide(address: $0, port: port) } ?? .allowed
    }

    /// Judges an address, whatever name led to it. The rules see the address that a connection reaches
    /// (`IPAddress.destination`).
    public func decide(address: IPAddress, port: Int) -> Decision {
        let destination = address.destination
        let match = rules.first { !$0.isOfHosts && $0.entry.matches(destination, port: port) }
        if let match, !match.allows { return .denied(match) }
        return .allowed
    }

    /// Judges a connection: its host, then its address.
    public func decide(host: String, address: IPAddress, port: Int) -> Decision {
        let decision = decide(host: host, port: port)
        guard decision == .allowed else { return decision }
        return decide(address: address, port: port)
    }

    // MARK: The compact form, for orders

    /// The rules as text, one on each line.
    public var compact: String {
        rules.map { rule in
            "\(rule.allows ? "+" : "-")\(rule.isOfHosts ? "h" : "n") \(rule.section) \(rule.entry.text)"
        }.joined(separator: "\n")
    }

    /// Reads the compact form.
    ///
    /// - Returns: nil for any other text.
    public init?(compact text: String) {
        var rules: [Rule] = []
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count == 3 else { return nil }
            let (allows, isOfHosts): (Bool, Bool)
            switch parts[0] {
            case "+h": (allows, isOfHosts) = (true, true)
            case "+n": (allows, isOfHosts) = (true, false)
            case "-h": (allows, isOfHosts) = (false, true)
            case "-n": (allows, isOfHosts) = (false, false)
            default: return nil
            }
            let entry =
                isOfHosts
                ? try? EgressEntry(host: String(parts[2])) : try? EgressEntry(network: String(parts[2]))
            guard let entry else { return nil }
            rules.append(
                Rule(allows: allows, isOfHosts: isOfHosts, section: String(parts[1]), entry: entry))
        }
        self.rules = rules
    }
}
