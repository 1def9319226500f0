extension VarlinkService {
    /// The name of the interface that every service has.
    static let serviceInterface = "org.varlink.service"

    static let serviceInterfaceText = """
        # The interface of every Varlink service: what it is, and what it offers.
        interface org.varlink.service

        # Tells who made the service and which interfaces it has.
        method GetInfo() -> (
          vendor: string,
          product: string,
          version: string,
          url: string,
          interfaces: []string
        )

        # Gives the description of an interface of the service.
        method GetInterfaceDescription(interface: string) -> (description: string)

        # The service has no such interface.
        error InterfaceNotFound (interface: string)

        # The interface has no such method.
        error MethodNotFound (method: string)

        # The interface has the method, but the service does not.
        error MethodNotImplemented (method: string)

        # A parameter is unknown, missing or of the wrong type.
        error InvalidParameter (parameter: string)

        # The client may not do this.
        error PermissionDenied ()

        # The method answers more than once, so it has to be called with "more".
        error ExpectedMore ()
        """

    private struct Info: Encodable {
        let vendor: String
        let product: String
        let version: String
        let url: String
        let interfaces: [String]
    }

    private struct DescriptionRequest: Decodable {
        let interface: String
    }

    private struct DescriptionReply: Encodable {
        let description: String
    }

    func addServiceInterface() {
        do {
            try add(InterfaceDescription(Self.serviceInterfaceText))
            try handle("\(Self.serviceInterface).GetInfo") { [unowned self] call in
                _ = try call.parameters(as: NoParameters.self)
                let info = self.info
                call.reply(
                    Info(
                        vendor: info.vendor, product: info.product, version: info.version, url: info.url,
                        interfaces: self.interfaceNames))
            }
            try handle("\(Self.serviceInterface).GetInterfaceDescription") { [unowned self] call in
                let name = try call.parameters(as: DescriptionRequest.self).interface
                guard let text = self.description(of: name) else {
                    throw VarlinkServiceError.interfaceNotFound(name)
                }
                call.reply(DescriptionReply(description: text))
            }
        } catch {
            // The text above is a constant, so only a mistake in it leads here, and every test would stop here.
            preconditionFailure("the description of org.varlink.service is wrong: \(error)")
        }
    }
}
