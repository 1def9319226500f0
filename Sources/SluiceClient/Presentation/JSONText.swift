internal import FoundationEssentials

/// JSON for programs: one line, the fields sorted, named as `io.sluice.Ingest` names them.
public enum JSONText {
    /// The line without its newline.
    ///
    /// - Throws: `.local` for a number that is not finite.
    public static func encode(_ value: some Encodable) throws(SluiceError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            throw SluiceError(.local, "this cannot be written as JSON: \(error)")
        }
    }
}
