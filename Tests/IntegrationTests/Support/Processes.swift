import Glibc
import TestKit

/// What `/proc` tells about processes.
enum Processes {
    /// The children of a process.
    static func children(of parent: Int32) throws -> [Int32] {
        guard let directory = opendir("/proc") else { throw TestFailure("no /proc") }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), fields(of: number).map({ Int32($0[1]) == parent }) ?? false {
                found.append(number)
            }
        }
        return found
    }

    /// The state's letter of `proc(5)`; nil where there is no such process.
    static func state(of process: Int32) -> Character? { fields(of: process)?.first?.first }

    /// Whether it is there and not a zombie.
    static func runs(_ process: Int32) -> Bool { state(of: process).map { $0 != "Z" } ?? false }

    /// What its descriptors are, as `/proc/PID/fd` names them.
    static func descriptors(of process: Int32) throws -> [String] {
        guard let directory = opendir("/proc/\(process)/fd") else { throw TestFailure("\(process) is gone") }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var buffer = [CChar](repeating: 0, count: 4096)
            let length = readlink("/proc/\(process)/fd/\(name)", &buffer, buffer.count)
            guard length > 0 else { continue }
            found.append(
                "\(name) \(String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self))")
        }
        return found
    }

    /// Of `/proc/PID/stat`, from the state on: what stands before may contain anything.
    private static func fields(of process: Int32) -> [Substring]? {
        guard let text = try? readText("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        return text[text.index(after: end)...].split(separator: " ")
    }
}
