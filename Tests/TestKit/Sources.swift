/// The location of the project's own files, for tests that read them.
public enum Sources {
    /// The absolute path of a file, given its path from the project's root.
    public static func path(_ name: String) -> String {
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/" + name
    }
}
