extension CallHead {
    /// Why a message is no call.
    struct Fault: Error {
        let reason: VarlinkDropReason
    }

    /// Reads a message, all of which is checked, its parameters too.
    static func read(_ bytes: [UInt8], maximumValues: Int) throws(Fault) -> CallHead {
        do {
            try MessageScan.check(bytes, maximumValues: maximumValues)
            return try MessageCoding.decode(CallHead.self, from: bytes)
        } catch MessageScan.Fault.tooManyValues {
            throw Fault(reason: .tooManyValues)
        } catch MessageScan.Fault.combiningCharacters(let field) {
            throw Fault(reason: .unsafeText(field: field))
        } catch {
            let field = (error as? DecodingError).flatMap(MessageCoding.path(of:))
            throw Fault(reason: .malformedMessage(field: field))
        }
    }
}
