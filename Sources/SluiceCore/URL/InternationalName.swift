internal import CIdn2

/// Host names with letters beyond ASCII (RFC 5890, UTS #46).
enum InternationalName {
    /// The longest name that is converted, in bytes. A longer one does not fit into the 253 bytes that a name may have
    /// in ASCII, and the time to convert a label grows with the square of its length.
    static let maximumLength = 1024

    /// The name in ASCII, in lower case, mapped by UTS #46 (nontransitional); nil if it cannot be converted.
    ///
    /// libidn2 follows IDNA 2008, so names of symbols (emoji) are refused, although browsers take them.
    ///
    /// - Parameter name: valid UTF-8. Its ASCII characters must be letters, digits, hyphens, dots and underscores.
    static func ascii(_ name: String) -> String? {
        guard name.utf8.count <= maximumLength,
            name.utf8.allSatisfy({ $0 >= 0x80 || HostText.isNameByte($0) })
        else { return nil }
        var output: UnsafeMutablePointer<CChar>?
        let flags = CInt(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
        let code = idn2_to_ascii_8z(name, &output, flags)
        defer { idn2_free(output) }
        guard code == IDN2_OK.rawValue, let output else { return nil }
        return String(cString: output)
    }
}
