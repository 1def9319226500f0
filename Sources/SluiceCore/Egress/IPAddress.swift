internal import Glibc

/// An IPv4 or IPv6 address, in 16 bytes: an IPv4 address is held in its IPv4-mapped form (RFC 4291 §2.5.5.2).
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// `::ffff:0:0`, the prefix of every IPv4-mapped address.
    private static let mapped: UInt128 = 0xffff << 32
    /// `64:ff9b::`, the prefix of the addresses that a NAT64 gateway translates (RFC 6052 §2.1).
    private static let translated: UInt128 = 0x0064_ff9b << 96

    /// The 128 bits.
    let bits: UInt128

    init(bits: UInt128) {
        self.bits = bits
    }

    /// The address in its 16 bytes, in network order.
    ///
    /// - Parameter bytes: 16 bytes; the result is nil for any other number.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == MemoryLayout<UInt128>.size else { return nil }
        bits = UInt128(bigEndian: bytes.loadUnaligned(as: UInt128.self))
    }

    /// The address that a text stands for: plain dotted decimal, or any form of RFC 4291 §2.2, without brackets and zone.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        if bytes.contains(UInt8(ascii: ":")) {
            guard let canonical = IPv6Literal.canonical(bytes) else { return nil }
            var address = in6_addr()
            guard inet_pton(AF_INET6, canonical, &address) == 1 else { return nil }
            let bits = withUnsafeBytes(of: &address) { $0.loadUnaligned(as: UInt128.self) }
            self.bits = UInt128(bigEndian: bits)
            return
        }
        guard case .address(let plain) = IPv4Literal(bytes), plain.utf8.elementsEqual(bytes) else {
            return nil
        }
        let numbers = plain.split(separator: ".").compactMap { UInt128($0) }
        bits = numbers.reduce(0) { $0 << 8 | $1 } | Self.mapped
    }

    /// The address of a URL's host, an IPv6 address in its brackets; nil for a name.
    public init?(host: String) {
        guard host.utf8.first == UInt8(ascii: "[") else {
            self.init(host)
            return
        }
        self.init(host.dropFirst().dropLast())
    }

    /// Whether it is an IPv4 address.
    public var isIPv4: Bool { bits >> 32 == Self.mapped >> 32 }

    /// The address that a connection to this one reaches: this address itself, except for three forms.
    ///
    /// The unspecified addresses `0.0.0.0` and `::` reach this machine itself on Linux; an address that a NAT64 gateway
    /// translates reaches the IPv4 address in it.
    public var destination: IPAddress {
        let address = translatedIPv4 ?? self
        switch address.bits {
        case 0: return IPAddress(bits: 1)
        case Self.mapped: return IPAddress(bits: Self.mapped | 0x7f00_0001)
        default: return address
        }
    }

    /// The IPv4 address inside an address that a NAT64 gateway translates; nil for any other address.
    var translatedIPv4: IPAddress? {
        bits >> 32 == Self.translated >> 32 ? IPAddress(bits: Self.mapped | bits & 0xffff_ffff) : nil
    }

    /// Dotted decimal, or the canonical form of RFC 5952.
    public var description: String {
        var bytes = bits.bigEndian
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let isWritten = withUnsafeBytes(of: &bytes) { bytes in
            let address = isIPv4 ? UnsafeRawBufferPointer(rebasing: bytes.suffix(4)) : bytes
            return inet_ntop(
                isIPv4 ? AF_INET : AF_INET6, address.baseAddress, &text, socklen_t(text.count)) != nil
        }
        guard isWritten else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// All addresses that begin with the same bits (CIDR, RFC 4632).
public struct IPNetwork: Sendable, Hashable {
    /// The first address of the network.
    let base: IPAddress
    /// Number of fixed bits of the 128. For an IPv4 network it is 96 more than the written length.
    let prefix: Int

    /// - Returns: nil if a bit behind the prefix is set.
    init?(_ base: IPAddress, prefix: Int) {
        guard base.bits & ~Self.mask(prefix) == 0 else { return nil }
        self.base = base
        self.prefix = prefix
    }

    /// The network with this prefix that contains an address.
    init(around address: IPAddress, prefix: Int) {
        base = IPAddress(bits: address.bits & Self.mask(prefix))
        self.prefix = prefix
    }

    /// The network that an entry of `no_proxy` stands for: an address, alone or with the length of a prefix. Bits behind
    /// the prefix do not matter (libcurl-env(3)).
    ///
    /// - Returns: nil for anything else, such as a host name.
    public init?(noProxy text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        let length = parts.count > 1 ? Int(digits: parts[1].utf8, atMost: width) : width
        guard let length else { return nil }
        // To libcurl a length of 0 is none.
        self.init(around: address, prefix: (length == 0 ? width : length) + 128 - width)
    }

    /// `10.0.0.0/8`, or an address alone; only for constants of this program.
    fileprivate init?(constant text: String) {
        let parts = text.split(separator: "/")
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        let length = parts.count > 1 ? Int(parts[1]) ?? width : width
        self.init(address, prefix: length + 128 - width)
    }

    /// The bits that are fixed.
    private static func mask(_ prefix: Int) -> UInt128 {
        prefix <= 0 ? 0 : ~0 << UInt128(128 - min(prefix, 128))
    }

    /// Whether the address is one of the network's.
    public func contains(_ address: IPAddress) -> Bool {
        // IPv4 addresses are held as IPv4-mapped ones, whose bits lie within ::/0. No IPv6 network must match them.
        address.isIPv4 == base.isIPv4 && address.bits & Self.mask(prefix) == base.bits
    }

    /// The network as it is written in the settings.
    var text: String {
        let (width, length) = base.isIPv4 ? (32, prefix - 96) : (128, prefix)
        return length == width ? "\(base)" : "\(base)/\(length)"
    }
}

/// Words for well-known networks.
enum NetworkWord: String, CaseIterable {
    case any
    case loopback
    case `private`
    case linkLocal = "link-local"
    case metadata

    var networks: [IPNetwork] { Self.all[self] ?? [] }

    private static let all: [NetworkWord: [IPNetwork]] = Dictionary(
        uniqueKeysWithValues: allCases.map { ($0, $0.texts.compactMap(IPNetwork.init(constant:))) })

    private var texts: [String] {
        switch self {
        case .any: ["0.0.0.0/0", "::/0"]
        case .loopback: ["127.0.0.0/8", "::1"]
        // RFC 1918, RFC 6598, RFC 4193, and the deprecated site-local addresses (RFC 3879).
        case .private:
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"]
        // RFC 3927, RFC 4291 §2.5.6.
        case .linkLocal: ["169.254.0.0/16", "fe80::/10"]
        // Where virtual machines get their credentials: most clouds, AWS and Google over IPv6, Azure, Alibaba, Oracle.
        case .metadata:
            [
                "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200",
                "192.0.0.192",
            ]
        }
    }
}
