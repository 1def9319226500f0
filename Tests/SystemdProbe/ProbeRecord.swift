internal import Glibc
internal import UnixSockets

/// Rewrites the record in descriptor 0 without an end, and counts in the page that is descriptor 3 what is safely there.
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

/// Records whose every byte follows from their number: small ones and large ones by turns.
enum RecordPattern {
    static func record(_ number: UInt64) -> [UInt8] {
        let length = [9, 1500, 2016, 2017, 5000, 20_000][Int(number % 6)]
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 31), count: length)
        withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
        return bytes
    }

    /// The number, if all the rest follows from it.
    static func number(of record: [UInt8]) -> UInt64? {
        guard record.count >= 8 else { return nil }
        let number = record.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return record == Self.record(number) ? number : nil
    }
}
