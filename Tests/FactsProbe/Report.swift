import Glibc
import Synchronization

private let output = Mutex(())

/// Writes one line: the event's name, then its fields.
func report(_ event: String, _ fields: KeyValuePairs<String, any CustomStringConvertible> = [:]) {
    report(event, fields.map { ($0.key, $0.value.description) })
}

/// The same for fields that are known only at run time.
func report(_ event: String, _ fields: [(String, String)]) {
    let clean = fields.map { name, value in
        "\(name)=\(String(value.map { $0 == "\n" || $0 == "\t" || $0 == "\r\n" ? " " : $0 }))"
    }
    let line = ([event] + clean).joined(separator: "\t") + "\n"
    output.withLock { _ in
        _ = line.utf8.withContiguousStorageIfAvailable { write(1, $0.baseAddress, $0.count) }
    }
}
