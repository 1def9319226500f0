/// One entry of a list of networks or hosts, and the ports to which it applies.
///
/// `NETWORK`, `HOST`, or either with ` port N` or ` port N-M` behind it.
struct EgressEntry: Sendable, Hashable {
    /// What an entry names.
    enum Target: Sendable, Hashable {
        /// Addresses.
        case networks([IPNetwork])
        /// One host name, in lower case.
        case host(String)
        /// A host name and all names below it: `.example.org`, in lower case.
        case domain(String)
        /// Every host, name or address.
        case anyHost
        /// Every host that is written as an address.
        case addresses
    }

    /// Why a text is not an entry.
    struct Problem: Error, Equatable {
        let reason: String
        let remedy: String
    }

    /// The longest text of an entry, in bytes: a name of 253, a dot and ports.
    static let maximumLength = 300

    /// The entry as it is shown and sent.
    let text: String
    let target: Target
    let ports: ClosedRange<Int>

    /// An entry of a list of networks.
    init(network text: String) throws(Problem) {
        let (name, ports) = try Self.split(text)
        self.text = text
        self.ports = ports
        if let word = NetworkWord(rawValue: name) {
            target = .networks(word.networks)
        } else {
            target = .networks([try Self.network(name)])
        }
    }

    /// An entry of a list of hosts.
    init(host text: String) throws(Problem) {
        let (name, ports) = try Self.split(text)
        self.text = text
        self.ports = ports
        switch name {
        case "any": target = .anyHost
        case "addresses": target = .addresses
        default: target = try Self.host(name)
        }
    }

    func matches(_ address: IPAddress, port: Int) -> Bool {
        guard case .networks(let networks) = target, ports.contains(port) else { return false }
        return networks.contains { $0.contains(address) }
    }

    /// - Parameter host: in lower case, without a dot at its end.
    func matches(host: some StringProtocol, isAddress: Bool, port: Int) -> Bool {
        guard ports.contains(port) else { return false }
        switch target {
        case .networks: return false
        case .anyHost: return true
        case .addresses: return isAddress
        case .host(let name): return !isAddress && host.utf8.elementsEqual(name.utf8)
        case .domain(let suffix):
            guard !isAddress else { return false }
            let (all, end) = (host.utf8, suffix.utf8)
            return all.count >= end.count
                ? all.suffix(end.count).elementsEqual(end) : all.elementsEqual(end.dropFirst())
        }
    }

    // MARK: Texts

    private static func split(_ text: String) throws(Problem) -> (name: String, ports: ClosedRange<Int>) {
        guard text.utf8.count <= maximumLength else {
            throw Problem(
                reason: "an entry has \(text.utf8.count) bytes", remedy: "use at most \(maximumLength)")
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard let name = words.first, !name.isEmpty else {
            throw Problem(reason: "\(RequestURL.quote(text)) names nothing", remedy: "leave it out")
        }
        if words.count == 1 { return (String(name), 0...65535) }
        guard words.count == 3, words[1] == "port", let ports = range(words[2]) else {
            throw Problem(
                reason: "\(RequestURL.quote(text)) has text behind its name that is not a port",
                remedy: "write “\(shown(name)) port 443” or “\(shown(name)) port 1-1023”")
        }
        return (String(name), ports)
    }

    private static func shown(_ name: Substring) -> String {
        String(RequestURL.quote(name).dropFirst().dropLast())
    }

    private static func range(_ text: Substring) -> ClosedRange<Int>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        let numbers = ends.compactMap { Int(digits: $0.utf8, atMost: 65535) }
        guard numbers.count == ends.count, (1...2).contains(numbers.count), let low = numbers.first,
            let high = numbers.last, low > 0, low <= high
        else { return nil }
        return low...high
    }

    private static func network(_ text: String) throws(Problem) -> IPNetwork {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else {
            let words = NetworkWord.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(
                reason: "\(RequestURL.quote(text)) is not a network",
                remedy: "write one like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1, or a word: \(words)")
        }
        // The written form decides about the width, not the address that it stands for.
        let width = text.utf8.contains(UInt8(ascii: ":")) ? 128 : 32
        var length = width
        if parts.count > 1 {
            guard let number = Int(digits: parts[1].utf8, atMost: width) else {
                throw Problem(
                    reason: "\(RequestURL.quote(text)) has no length from 0 to \(width) behind its slash",
                    remedy: "write one like 192.0.2.0/24 or 2001:db8::/32")
            }
            length = number
        }
        let prefix = length + 128 - width
        guard let network = IPNetwork(address, prefix: prefix) else {
            throw Problem(
                reason: "\(RequestURL.quote(text)) has bits behind its length of \(length)",
                remedy: "write \(IPNetwork(around: address, prefix: prefix).text)")
        }
        if let other = judgedAs(network, isWrittenAsIPv6: width == 128) {
            throw Problem(
                reason: "\(RequestURL.quote(text)) is judged as \(other.text)", remedy: "write \(other.text)")
        }
        return network
    }

    /// The network that connections to these addresses lead to (`IPAddress.destination`), if it is another one: an
    /// entry with the written addresses would never match. Nil if the addresses are judged as themselves.
    private static func judgedAs(_ network: IPNetwork, isWrittenAsIPv6: Bool) -> IPNetwork? {
        let address = network.base
        if address.isIPv4, isWrittenAsIPv6 { return network }
        if network.prefix >= 96, let inside = address.translatedIPv4 {
            return IPNetwork(around: inside, prefix: network.prefix)
        }
        guard network.prefix == 128, address.destination != address else { return nil }
        return IPNetwork(around: address.destination, prefix: 128)
    }

    private static func host(_ text: String) throws(Problem) -> Target {
        func refuse(_ remedy: String) -> Problem {
            Problem(reason: "\(RequestURL.quote(text)) is not a host name", remedy: remedy)
        }
        if IPAddress(text) != nil || text.contains("/") || NetworkWord(rawValue: text) != nil {
            throw refuse("name networks in allow_networks or deny_networks")
        }
        if text.hasPrefix("*.") { throw refuse("write \(RequestURL.quote(text.dropFirst()))") }
        let isDomain = text.hasPrefix(".")
        let written = isDomain ? text.dropFirst() : text[...]
        let ascii =
            written.utf8.allSatisfy { $0 < 0x80 }
            ? written.lowercased() : InternationalName.ascii(String(written))
        let remedy = "write one like example.org, or .example.org for it and all below it"
        guard var name = ascii?[...] else { throw refuse(remedy) }
        if name.last == "." { name = name.dropLast() }
        guard !name.isEmpty, name.utf8.count <= HostText.maximumLength, name.first != ".",
            name.utf8.allSatisfy(HostText.isNameByte), IPv4Literal(name.utf8) == .name
        else { throw refuse(remedy) }
        return isDomain ? .domain(".\(name)") : .host(String(name))
    }
}
