import Glibc
import TestKit

/// What `/proc` reports about processes.
enum Processes {
    /// The children of a process.
    static func children(of parent: Int32) throws -> [Int32] {
        try entries(of: "/proc").compactMap { Int32($0) }
            .filter { fields(of: $0).map { Int32($0[1]) == parent } ?? false }
    }

    /// The lanes of a service.
    static func lanes(of service: Int32) throws -> [Int32] {
        try children(of: service).filter { name(of: $0) == "sluice-lane" }
    }

    /// The process that forks lanes for a service; nil if none runs.
    static func nursery(of service: Int32) throws -> Int32? {
        try children(of: service).first { name(of: $0) == "sluice-nursery" && runs($0) }
    }

    /// The name that the process has given itself; nil where there is no such process.
    static func name(of process: Int32) -> String? {
        (try? readText("/proc/\(process)/comm")).map { String($0.prefix { $0 != "\n" }) }
    }

    /// The ids of its threads.
    static func threads(of process: Int32) throws -> [Int32] {
        try entries(of: "/proc/\(process)/task").compactMap { Int32($0) }
    }

    /// The state's letter of `proc(5)`; nil where there is no such process.
    static func state(of process: Int32) -> Character? { fields(of: process)?.first?.first }

    /// Whether the process exists and is not a zombie.
    static func runs(_ process: Int32) -> Bool { state(of: process).map { $0 != "Z" } ?? false }

    /// Stops a process (SIGSTOP), and waits until all of its threads stand still: the kernel gives the signal to one thread,
    /// and until that one has run the others go on.
    static func stop(_ process: Int32) throws {
        kill(process, SIGSTOP)
        try eventually("process \(process) stands still") {
            // One that has ended stands still as well.
            (try? threads(of: process).allSatisfy { ["T", nil].contains(state(of: process, thread: $0)) })
                ?? true
        }
    }

    private static func state(of process: Int32, thread: Int32) -> Character? {
        fields(of: "\(process)/task/\(thread)")?.first?.first
    }

    /// What its descriptors refer to, as `/proc/PID/fd` names it.
    static func descriptors(of process: Int32) throws -> [String] {
        try entries(of: "/proc/\(process)/fd").compactMap { name in
            var buffer = [CChar](repeating: 0, count: 4096)
            let length = readlink("/proc/\(process)/fd/\(name)", &buffer, buffer.count)
            guard length > 0 else { return nil }
            return
                "\(name) \(String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self))"
        }
    }

    private static func entries(of path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw TestFailure("there is no \(path)") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// The fields of `/proc/PID/stat` from the state on: the field before it may contain any characters.
    private static func fields(of process: some CustomStringConvertible) -> [Substring]? {
        guard let text = try? readText("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        return text[text.index(after: end)...].split(separator: " ")
    }
}
