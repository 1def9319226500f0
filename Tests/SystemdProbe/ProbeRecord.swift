internal import Glibc
internal import Unix

/// Rewrites the record in descriptor 0 in an endless loop. Stores the number of the last record that is safely
/// written in the page that is descriptor 3.
enum ProbeRecord {
    static func run() {
        do {
            var file = try RecordFile(adopting: OwnedDescriptor(adopting: 0))
            let page = OwnedDescriptor(adopting: 3)
            let acknowledged = try SharedCounters(mapping: page)
            var number = acknowledged.load(0)
            if let record = try file.read() { number = max(number, RecordPattern.number(of: record) ?? 0) }
            while true {
                number += 1
                try file.write(RecordPattern.record(number))
                acknowledged.store(number, at: 0)
            }
        } catch {
            print("error: \(error)")
            exit(1)
        }
    }
}

/// Records in which every byte follows from their number. Small and large ones alternate.
enum RecordPattern {
    static func record(_ number: UInt64) -> [UInt8] {
        let length = [9, 1500, 2016, 2017, 5000, 20_000][Int(number % 6)]
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 31), count: length)
        withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
        return bytes
    }

    /// The number of a record; nil where the other bytes do not follow from it.
    static func number(of record: [UInt8]) -> UInt64? {
        guard record.count >= 8 else { return nil }
        let number = record.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return record == Self.record(number) ? number : nil
    }
}
