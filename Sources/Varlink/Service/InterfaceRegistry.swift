/// The interfaces of a service, and the handlers of their methods.
struct InterfaceRegistry {
    /// Maximum length of the name of a method, in bytes. Looking up a text costs more than checking its length.
    private static let maximumNameLength = 255

    private var interfaces: [String: InterfaceDescription] = [:]
    private var handlers: [String: VarlinkService.Handler] = [:]

    mutating func add(_ interface: InterfaceDescription) throws(VarlinkService.RegistrationError) {
        guard interfaces[interface.name] == nil else { throw .interfaceExists(interface.name) }
        interfaces[interface.name] = interface
    }

    mutating func handle(
        _ method: String, _ handler: @escaping VarlinkService.Handler
    ) throws(VarlinkService.RegistrationError) {
        guard declaration(of: method).method != nil else { throw .methodNotDeclared(method) }
        handlers[method] = handler
    }

    /// The names of the interfaces, sorted.
    var names: [String] { interfaces.keys.sorted() }

    /// The declared methods without a handler, sorted.
    var unhandledMethods: [String] {
        interfaces.values.flatMap { interface in interface.methods.keys.map { "\(interface.name).\($0)" } }
            .filter { handlers[$0] == nil }.sorted()
    }

    /// The text of an interface; nil if there is none of this name.
    func text(of interface: String) -> String? {
        Self.isName(interface) ? interfaces[interface]?.text : nil
    }

    func declaration(of method: String) -> (interface: InterfaceDescription?, method: VarlinkMethod?) {
        guard Self.isName(method), let dot = method.lastIndex(of: ".") else { return (nil, nil) }
        let interface = interfaces[String(method[..<dot])]
        return (interface, interface?.methods[String(method[method.index(after: dot)...])])
    }

    /// - Throws: what a client is told that calls a method without a handler.
    func handler(for method: String) throws(VarlinkServiceError) -> VarlinkService.Handler {
        guard Self.isName(method) else { throw .invalidParameter("method") }
        if let handler = handlers[method] { return handler }
        guard let dot = method.lastIndex(of: ".") else { throw .invalidParameter("method") }
        let (interface, declared) = declaration(of: method)
        guard interface != nil else { throw .interfaceNotFound(String(method[..<dot])) }
        throw declared == nil ? .methodNotFound(method) : .methodNotImplemented(method)
    }

    static func isName(_ text: String) -> Bool {
        text.utf8.count <= maximumNameLength && text.utf8.allSatisfy { $0 < 0x80 }
    }
}
