/// Where the project's own files are, for tests that read them.
public enum Sources {
    /// The path of a file, from the project's root.
    public static func path(_ name: String) -> String {
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/" + name
    }
}
