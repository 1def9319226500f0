internal import Glibc
public import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import TOMLKit
internal import UnixSockets

/// What is wrong with settings files: all of it at once, each with its key.
public struct SettingsFileError: Error, Equatable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// One line for each problem of the file.
    public let problems: [String]
    /// One line for each problem of a drop-in, which begins with the path of that.
    public let dropInProblems: [String]

    /// An error about a file, its drop-ins or both.
    public init(path: String, problems: [String], dropInProblems: [String] = []) {
        self.path = path
        self.problems = problems
        self.dropInProblems = dropInProblems
    }

    /// The lines, each with its file in front.
    public var description: String {
        (problems.map { "\(path): \($0)" } + dropInProblems).joined(separator: "\n")
    }
}

/// Reads `sluiced.toml` (toml.io): strictly, once.
///
/// Precedence: what the last drop-in says that says something, else the file, else the default of `Settings`. Drop-ins are the
/// files of the folder `sluiced.toml.d` whose names end with `.toml`, in the order of the bytes of their names; hidden
/// ones are left out. A file that is missing is an error, for it was named; a folder of drop-ins that is missing is an
/// empty one. A key that is unknown, a value of a wrong type and a value out of range are errors that name the key; so is
/// a file that is not TOML. Nothing is taken over from files of which one has an error.
public enum SettingsFile {
    /// The largest file that is read, in bytes.
    public static let maximumSize = 1 << 20
    /// The most drop-ins.
    public static let maximumDropIns = 100

    /// Reads a file and its drop-ins.
    ///
    /// - Throws: `SettingsFileError`.
    public static func read(path: String) throws(SettingsFileError) -> Settings {
        try load(path: path).settings
    }

    /// Reads a file and its drop-ins, and tells where each value is from.
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

    /// The first line that begins like the head of a table, and goes on with what can begin no key.
    ///
    /// The library stops the process there (toml++ 3.4, an assertion in `parse_key`). What it would take all the same, such
    /// as a line of a text in three quotes, no setting needs.
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

    /// Why a file cannot be taken.
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

    /// Never waits: a service that reads its settings again has something else to do than to wait at a FIFO, or to read
    /// from a device without end.
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
