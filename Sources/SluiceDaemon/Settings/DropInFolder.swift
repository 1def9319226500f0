internal import Glibc
internal import SystemPackage
internal import Unix

/// The folder of drop-ins beside a settings file: `sluiced.toml.d`.
enum DropInFolder {
    /// The names of the drop-ins of a file, in the order in which they apply. Empty if there is no folder.
    static func names(of path: String) throws(SettingsFile.ReadFailure) -> [String] {
        guard let folder = opendir("\(path).d") else {
            if errno == ENOENT { return [] }
            throw .system(Errno(rawValue: errno))
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = try next(in: folder) {
            guard entry.hasSuffix(".toml"), !entry.hasPrefix(".") else { continue }
            names.append(entry)
            guard names.count <= SettingsFile.maximumDropIns else { throw .tooMany }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func next(in folder: OpaquePointer) throws(SettingsFile.ReadFailure) -> String? {
        // readdir(3) returns NULL at the end, and leaves errno alone then.
        errno = 0
        guard let entry = readdir(folder) else {
            if errno == 0 { return nil }
            throw .system(Errno(rawValue: errno))
        }
        return withUnsafePointer(to: &entry.pointee.d_name) { name in
            name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) {
                String(cString: $0)
            }
        }
    }
}
