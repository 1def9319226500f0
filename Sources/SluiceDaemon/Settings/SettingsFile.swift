internal import Glibc
public import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import TOMLKit
internal import Unix

/// All problems of a settings file and its drop-ins, each with its key.
public struct SettingsFileError: Error, Equatable, CustomStringConvertible {
    /// The path of the file.
    public let path: String
    /// One line for each problem of the file.
    public let problems: [String]
    /// One line for each problem of a drop-in, which begins with the path of the drop-in.
    public let dropInProblems: [String]

    /// An error about a file, its drop-ins or both.
    public init(path: String, problems: [String], dropInProblems: [String] = []) {
        self.path = path
        self.problems = problems
        self.dropInProblems = dropInProblems
    }

    /// The problems, one on each line, each preceded by its file.
    public var description: String {
        (problems.map { "\(path): \($0)" } + dropInProblems).joined(separator: "\n")
    }
}

/// Reads `sluiced.toml` (toml.io) strictly.
///
/// Precedence: the last drop-in that sets a key, else the file, else the default in `Settings`. Drop-ins are the files
/// in the folder `sluiced.toml.d` whose names end with `.toml`, in the byte order of their names; hidden files are
/// ignored. A missing file is an error, because the user named it. A missing folder of drop-ins counts as empty. An
/// unknown key, a value of a wrong type and a value out of range are errors that name the key. A file that is not TOML
/// is an error that names the line. If any file has an error, no setting of any file is applied.
public enum SettingsFile {
    /// The largest file that is read, in bytes.
    public static let maximumSize = 1 << 20
    /// The maximum number of drop-ins.
    public static let maximumDropIns = 100

    /// Reads a file and its drop-ins.
    ///
    /// - Throws: `SettingsFileError`.
    public static func read(path: String) throws(SettingsFileError) -> Settings {
        try load(path: path).settings
    }

    /// Reads a file and its drop-ins, and records the source of each value.
    ///
    /// - Throws: `SettingsFileError`.
    public static func load(path: String) throws(SettingsFileError) -> LoadedSettings {
        var tables = [SettingsTable(path: nil, table: try table(at: path))]
        var problems: [String] = []
        do {
            for name in try DropInFolder.names(of: path) {
                let dropIn = "\(path).d/\(name)"
                do {
                    tables.append(SettingsTable(path: dropIn, table: try table(at: dropIn)))
                } catch {
                    problems.append(error.description)
                }
            }
        } catch {
            problems.append("\(path).d: \(error.sentence)")
        }
        guard problems.isEmpty else {
            throw SettingsFileError(path: path, problems: [], dropInProblems: problems)
        }
        return try settings(of: tables, path: path)
    }

    private static func table(at path: String) throws(SettingsFileError) -> TOMLTable {
        let bytes: [UInt8]
        do {
            bytes = try contents(of: path)
        } catch {
            throw SettingsFileError(path: path, problems: [error.sentence])
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsFileError(path: path, problems: ["it is not UTF-8"])
        }
        return try table(of: text, path: path)
    }

    /// Reads the text of a file.
    ///
    /// - Throws: `SettingsFileError` about `path`.
    public static func parse(_ text: String, path: String) throws(SettingsFileError) -> Settings {
        let table = SettingsTable(path: nil, table: try table(of: text, path: path))
        return try settings(of: [table], path: path).settings
    }

    /// All settings at their defaults.
    public static var defaults: LoadedSettings {
        var reader = SettingsReader([], path: "")
        return LoadedSettings(settings: reader.settings(), entries: reader.entries)
    }

    private static func settings(
        of tables: [SettingsTable], path: String
    ) throws(SettingsFileError) -> LoadedSettings {
        var reader = SettingsReader(tables, path: path)
        let settings = reader.settings()
        reader.note(settings.problems())
        guard reader.problems.isEmpty, reader.dropInProblems.isEmpty else {
            throw SettingsFileError(
                path: path, problems: reader.problems, dropInProblems: reader.dropInProblems)
        }
        return LoadedSettings(settings: settings, entries: reader.entries)
    }

    private static func table(of text: String, path: String) throws(SettingsFileError) -> TOMLTable {
        if let line = lineWithoutTableName(text) {
            throw SettingsFileError(
                path: path, problems: ["line \(line): it is not TOML: a table has no name"])
        }
        do {
            return try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw SettingsFileError(
                path: path,
                problems: ["line \(error.source.begin.line): it is not TOML: \(error.description)"])
        } catch {
            throw SettingsFileError(path: path, problems: ["it is not TOML: \(error)"])
        }
    }

    /// The number of the first line that begins like the head of a table but continues with a character that cannot
    /// begin a key.
    ///
    /// The library aborts the process at such a line (toml++ 3.4, an assertion in `parse_key`). This check also rejects
    /// some valid lines, such as one within a multi-line string, but no setting needs them.
    private static func lineWithoutTableName(_ text: String) -> Int? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let index = lines.firstIndex { line in
            var rest = line.drop { $0 == " " || $0 == "\t" || $0 == "\u{FEFF}" }
            guard rest.first == "[" else { return false }
            rest = rest.dropFirst()
            if rest.first == "[" { rest = rest.dropFirst() }
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard let first = rest.unicodeScalars.first else { return true }
            switch first {
            case "A"..."Z", "a"..."z", "0"..."9", "-", "_", "\"", "'": return false
            default: return true
            }
        }
        return index.map { $0 + 1 }
    }

    /// Why a file cannot be read.
    enum ReadFailure: Error {
        case notAFile
        case tooLarge
        case tooMany
        case system(Errno)

        var sentence: String {
            switch self {
            case .notAFile: "it is not a regular file"
            case .tooLarge: "it is larger than \(SettingsFile.maximumSize) bytes"
            case .tooMany: "it has more than \(SettingsFile.maximumDropIns) drop-ins"
            case .system(.noSuchFileOrDirectory): "it cannot be read: there is no such file"
            case .system(.permissionDenied): "it cannot be read: permission denied"
            case .system(let errno): "it cannot be read: \(errno)"
            }
        }
    }

    /// Reads a regular file. Never blocks at a FIFO or reads from a device without end, because the service goes on
    /// serving while it reads its settings again.
    static func contents(of path: String) throws(ReadFailure) -> [UInt8] {
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard number >= 0 else { throw .system(Errno(rawValue: errno)) }
        let file = OwnedDescriptor(adopting: number)
        var status = stat()
        guard fstat(file.rawValue, &status) == 0 else { throw .system(Errno(rawValue: errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
        var bytes = [UInt8](repeating: 0, count: maximumSize + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file.rawValue, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(Errno(rawValue: errno)) }
            if got == 0 { return Array(bytes[..<count]) }
            count += got
        }
        throw .tooLarge
    }
}
