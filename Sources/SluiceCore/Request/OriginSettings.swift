extension Settings {
    /// The limits for each host, for all users together, and the certificates that the service shows to hosts.
    public struct Origins: Sendable, Equatable {
        /// The settings for a host.
        public struct Limits: Sendable, Equatable {
            /// Maximum number of connections, and so of running jobs: 1 to 1,024; 0 for any; nil if not set.
            public var connections: Int?
            /// Bytes a second, in the range of `TokenBucket`; 0 for any; nil if not set.
            public var rate: Int?
            /// The name of the credential with the certificate that the service shows, over TLS; empty for none; nil if
            /// not set.
            public var clientCertificate: String?

            /// Nothing is set.
            public init() {}
        }

        /// The longest name of a credential, in bytes.
        public static let longestCredentialName = 128
        /// Maximum number of hosts with settings of their own.
        public static let maximumHosts = 1024

        /// The limits for hosts without settings of their own.
        public var everyone = Limits()
        /// Settings by host, `example.org`, or by a host and all hosts below it, `.example.org`. Each setting is taken
        /// from the longest name that matches and sets it.
        public var hosts: [String: Limits] = [:] {
            didSet { index = Self.index(hosts) }
        }
        private var index: [Key: Limits] = [:]

        /// A key of `hosts` in its normalised form.
        fileprivate enum Key: Hashable {
            /// A name as in `Origin.host`. With a dot in front it means the name and all names below it.
            case name(String)
            case address(IPAddress)

            /// - Returns: nil if the text is neither.
            init?(_ text: String) {
                let bare =
                    text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
                if let address = IPAddress(bare) {
                    self = .address(address)
                    return
                }
                guard let entry = try? EgressEntry(host: text), entry.ports == 0...65535 else { return nil }
                switch entry.target {
                case .host(let name), .domain(let name): self = .name(name)
                case .networks, .anyHost, .addresses: return nil
                }
            }
        }

        /// The defaults: no limits.
        public init() {}

        /// Whether no limits are set.
        public var isEmpty: Bool { everyone == Limits() && hosts.isEmpty }

        /// The limits for a host.
        ///
        /// Takes one dictionary lookup for each label of the name.
        ///
        /// - Parameter host: in the form of `Origin.host`.
        public func limits(for host: String) -> Limits {
            guard !index.isEmpty else { return everyone }
            var found = Limits()
            func take(_ key: Key) {
                guard let limits = index[key] else { return }
                found.connections = found.connections ?? limits.connections
                found.rate = found.rate ?? limits.rate
                found.clientCertificate = found.clientCertificate ?? limits.clientCertificate
            }
            if let address = IPAddress(host: host) {
                take(.address(address))
            } else {
                let name = host.utf8.last == UInt8(ascii: ".") ? host.dropLast() : host[...]
                take(.name(String(name)))
                take(.name(".\(name)"))
                var rest = name
                while let dot = rest.firstIndex(of: ".") {
                    take(.name(String(rest[dot...])))
                    rest = rest[rest.index(after: dot)...]
                }
            }
            found.connections = found.connections ?? everyone.connections
            found.rate = found.rate ?? everyone.rate
            return found
        }

        /// The form that is the same for all spellings of a host: a name without a dot at its end, an address in its
        /// canonical form.
        ///
        /// - Parameter host: in the form of `Origin.host`.
        public static func normal(_ host: String) -> String {
            if let address = IPAddress(host: host) { return address.description }
            return host.utf8.last == UInt8(ascii: ".") ? String(host.dropLast()) : host
        }

        /// What is wrong with the name of a host; nil if it is valid.
        public static func problem(ofName name: String) -> RequestError? {
            guard Key(name) == nil else { return nil }
            return RequestError(
                parameter: "origins", reason: "\(RequestURL.quote(name)) is not a host",
                remedy:
                    "write [origins.\"example.org\"], or [origins.\".example.org\"] for each host below it, too"
            )
        }

        /// The names of all credentials in the settings.
        public var clientCertificates: Set<String> {
            Set(hosts.values.compactMap(\.clientCertificate).filter { !$0.isEmpty })
        }

        private static func index(_ hosts: [String: Limits]) -> [Key: Limits] {
            var index: [Key: Limits] = [:]
            for (text, limits) in hosts.sorted(by: { $0.key < $1.key }) {
                if let key = Key(text) { index[key] = limits }
            }
            return index
        }
    }
}

extension Settings.Origins {
    /// The settings that are invalid, by their names in the file.
    func problems() -> [RequestError] {
        var problems = everyone.problems("origins")
        if hosts.count > Self.maximumHosts {
            problems.append(
                RequestError(
                    parameter: "origins", reason: "there are settings for \(hosts.count) hosts",
                    remedy: "name at most \(Self.maximumHosts)"))
        }
        var spellings: [Key: String] = [:]
        for (name, limits) in hosts.sorted(by: { $0.key < $1.key }) {
            guard let key = Key(name) else {
                if let problem = Self.problem(ofName: name) { problems.append(problem) }
                continue
            }
            if let other = spellings.updateValue(name, forKey: key) {
                problems.append(
                    RequestError(
                        parameter: "origins.\(name)",
                        reason: "it is the same host as \(RequestURL.quote(other))",
                        remedy: "write it one way"))
            }
            problems += limits.problems("origins.\(name)")
        }
        return problems
    }
}

extension Settings.Origins.Limits {
    fileprivate func problems(_ section: String) -> [RequestError] {
        var problems: [RequestError] = []
        if let connections, !(0...1024).contains(connections) {
            problems.append(.outOfRange("\(section).connections", connections, 0...1024))
        }
        let rates = TokenBucket.leastRate...TokenBucket.greatestRate
        if let rate, rate != 0, !rates.contains(rate) {
            problems.append(.outOfRange("\(section).rate", rate, rates, orNone: true))
        }
        // A credential's name is a file name. The limits are stricter than those of the service manager
        // (systemd.exec(5)).
        if let name = clientCertificate,
            name.utf8.count > Settings.Origins.longestCredentialName || name.hasPrefix(".")
                || !name.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "/") })
        {
            problems.append(
                RequestError(
                    parameter: "\(section).client_certificate",
                    reason: "\(RequestURL.quote(name)) is not the name of a credential",
                    remedy: "use letters, digits, hyphens and dots, and no dot at the beginning"))
        }
        return problems
    }
}
